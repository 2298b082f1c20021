//! The text file.

use std::collections::BTreeSet;
use std::ffi::c_uint;

/// A GPU or a MIG slice.
#[derive(Default)]
pub(crate) struct Device {
    pub uuid: String,
    pub total_mib: u64,
    pub used_mib: u64,
    pub name: String,
    pub pids: Vec<c_uint>,
    pub is_lost: bool,
    /// For a slice: its GPU and its instance.
    pub slice_of: Option<(String, c_uint)>,
    pub is_mig: bool,
    pub pci: Option<String>,
    pub capability: Option<(c_uint, c_uint)>,
    pub minor: Option<c_uint>,
    pub ecc: Option<u64>,
    pub load: Option<(c_uint, c_uint)>,
    pub heat: Option<c_uint>,
    pub power: Option<(c_uint, c_uint)>,
    pub throttle: Option<u64>,
}

/// What happened to a GPU.
pub(crate) enum Happened {
    Xid(u64),
    DoubleBit,
}

/// One event.
pub(crate) struct Event {
    pub uuid: String,
    pub what: Happened,
    pub instance: c_uint,
}

/// All of it.
#[derive(Default)]
pub(crate) struct Machine {
    pub driver: String,
    pub init: c_uint,
    pub count: c_uint,
    pub hangs: bool,
    pub devices: Vec<Device>,
    pub events: Vec<Event>,
    pub unsupported: BTreeSet<String>,
}

impl Machine {
    /// Physical GPUs, each with its place among all devices.
    pub fn gpus(&self) -> impl Iterator<Item = (usize, &Device)> {
        self.devices.iter().enumerate().filter(|(_, device)| device.slice_of.is_none())
    }

    /// The slices of a GPU.
    pub fn slices(&self, gpu: &str) -> impl Iterator<Item = (usize, &Device)> {
        let is_its = move |device: &Device| device.slice_of.as_ref().is_some_and(|(parent, _)| parent == gpu);
        self.devices.iter().enumerate().filter(move |(_, device)| is_its(device))
    }

    /// A slice is lost with its GPU.
    pub fn is_lost(&self, device: &Device) -> bool {
        let parent = device.slice_of.as_ref().map_or(&device.uuid, |(parent, _)| parent);
        self.devices.iter().any(|one| one.uuid == *parent && one.is_lost)
    }

    pub fn place(&self, uuid: &str) -> Option<usize> {
        self.devices.iter().position(|device| device.uuid == uuid)
    }
}

/// Lines that say nothing known are skipped.
pub(crate) fn read(text: &str) -> Machine {
    let mut machine = Machine::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (kind, first) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().to_owned());
        let code = first.parse().unwrap_or(0);
        match kind {
            "driver" => machine.driver = first,
            "hang" => machine.hangs = true,
            "init" => machine.init = code,
            "count" => machine.count = code,
            "unsupported" => drop(machine.unsupported.insert(first)),
            "gpu" if machine.place(&first).is_none() => {
                machine.devices.push(Device { uuid: first, ..sized(&mut words) });
            }
            "slice" => {
                let uuid = words.next().unwrap_or_default().to_owned();
                let instance = number(&mut words);
                machine.devices.push(Device { uuid, slice_of: Some((first, instance)), ..sized(&mut words) });
            }
            "xid" => {
                let what = Happened::Xid(number(&mut words));
                let instance = words.next().and_then(|word| word.parse().ok()).unwrap_or(c_uint::MAX);
                machine.events.push(Event { uuid: first, what, instance });
            }
            "doublebit" => {
                machine.events.push(Event { uuid: first, what: Happened::DoubleBit, instance: c_uint::MAX });
            }
            _ => {
                if let Some(place) = machine.place(&first) {
                    say(&mut machine.devices[place], kind, &mut words);
                }
            }
        }
    }
    machine
}

fn sized<'a>(words: &mut impl Iterator<Item = &'a str>) -> Device {
    let (total_mib, used_mib) = (number(words), number(words));
    Device { total_mib, used_mib, name: words.collect::<Vec<_>>().join(" "), ..Device::default() }
}

fn say<'a>(device: &mut Device, kind: &str, words: &mut impl Iterator<Item = &'a str>) {
    match kind {
        "process" => device.pids.push(number(words)),
        "lost" => device.is_lost = true,
        "mig" => device.is_mig = true,
        "pci" => device.pci = words.next().map(str::to_owned),
        "capability" => device.capability = Some((number(words), number(words))),
        "minor" => device.minor = Some(number(words)),
        "ecc" => device.ecc = Some(number(words)),
        "load" => device.load = Some((number(words), number(words))),
        "heat" => device.heat = Some(number(words)),
        "power" => device.power = Some((number(words), number(words))),
        "throttle" => device.throttle = Some(number(words)),
        _ => {}
    }
}

fn number<'a, N: std::str::FromStr + Default>(words: &mut impl Iterator<Item = &'a str>) -> N {
    words.next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_read_as_it_is_written() {
        let machine = read(
            "driver 1.2\ngpu A 100 4 Big GPU\ngpu B x\nprocess A 7\nlost B\nprocess C 8\nnoise\n\
             mig B\nslice B S 3 10 1 A slice\nprocess S 9\nxid A 79\nxid B 94 3\ndoublebit A\ncapability A 9 0\n\
             unsupported memory\ninit 9",
        );
        assert_eq!((machine.driver.as_str(), machine.devices.len(), machine.init), ("1.2", 3, 9));
        let [a, b, s] = &machine.devices[..] else { panic!("three devices") };
        assert_eq!((a.total_mib, a.used_mib, a.name.as_str(), &a.pids[..]), (100, 4, "Big GPU", &[7][..]));
        assert!(machine.is_lost(b) && machine.is_lost(s) && !machine.is_lost(a) && b.total_mib == 0);
        assert_eq!((s.slice_of.as_ref(), s.name.as_str()), (Some(&("B".to_owned(), 3)), "A slice"));
        assert_eq!((machine.gpus().count(), machine.slices("B").count(), &s.pids[..]), (2, 1, &[9][..]));
        let instances: Vec<c_uint> = machine.events.iter().map(|event| event.instance).collect();
        assert_eq!(instances, [c_uint::MAX, 3, c_uint::MAX]);
        assert_eq!((a.capability, b.capability, a.ecc), (Some((9, 0)), None, None));
        assert!(machine.unsupported.contains("memory"));
    }
}
