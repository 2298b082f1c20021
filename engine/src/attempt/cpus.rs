//! The machine's CPUs, shared out: each lease is bound to its own, near its GPU where that is known. No CPU
//! is given twice while enough are there; pure arithmetic, carried out by the shim.

use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::attempt::{AttemptKey, Order};
use windlass_shared::device::{Device, DeviceKind};

/// One logical CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cpu {
    /// The kernel's number.
    pub id: u32,
    /// The lowest number among the logical CPUs of its core: those share one pipeline.
    pub core: u32,
    /// Its NUMA node, where that is known.
    pub node: Option<u32>,
}

/// Who has which CPUs.
#[derive(Clone, Debug, Default)]
pub struct CpuShares {
    cpus: Vec<Cpu>,
    given: BTreeMap<AttemptKey, BTreeSet<u32>>,
}

impl CpuShares {
    /// The CPUs that may be given.
    pub fn new(cpus: Vec<Cpu>) -> Self {
        Self { cpus, given: BTreeMap::new() }
    }

    /// CPUs for an order, remembered until they are taken back; none for one without devices, which is not
    /// bound. `devices` are all of the machine.
    pub fn give(&mut self, order: &Order, devices: &[Device]) -> Vec<u32> {
        let leased: Vec<&Device> =
            devices.iter().filter(|device| order.devices.contains(&device.id)).collect();
        let count = self.count(order, &leased, devices.len());
        let node = leased.iter().find_map(|device| device.numa_node);
        let chosen = self.choose(count, node);
        self.hold(order.key.clone(), &chosen);
        chosen
    }

    /// What an attempt that was found at a start has already.
    pub fn hold(&mut self, key: AttemptKey, cpus: &[u32]) {
        self.given.insert(key, cpus.iter().copied().collect());
    }

    /// The attempt is over.
    pub fn take_back(&mut self, key: &AttemptKey) {
        self.given.remove(key);
    }

    /// As many as were asked for beside GPUs; else the devices' part of the machine, at least one.
    fn count(&self, order: &Order, leased: &[&Device], devices: usize) -> usize {
        if order.devices.is_empty() {
            return 0;
        }
        let on_gpus = leased.iter().any(|device| device.kind == DeviceKind::Gpu);
        if let Some(asked) = order.cpus.filter(|_| on_gpus) {
            return asked as usize;
        }
        let parts = devices.max(order.devices.len());
        (self.cpus.len() * order.devices.len() / parts).max(1)
    }

    /// The least given ones first, then those near the GPU; whole cores stay together.
    fn choose(&self, count: usize, node: Option<u32>) -> Vec<u32> {
        let times = |cpu: &Cpu| self.given.values().filter(|given| given.contains(&cpu.id)).count();
        let is_far = |cpu: &Cpu| node.is_some() && cpu.node != node;
        let mut order: Vec<(usize, bool, u32, u32)> =
            self.cpus.iter().map(|cpu| (times(cpu), is_far(cpu), cpu.core, cpu.id)).collect();
        order.sort_unstable();
        let mut chosen: Vec<u32> = order.into_iter().take(count).map(|(_, _, _, id)| id).collect();
        chosen.sort_unstable();
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::super::host::tests;
    use super::*;

    /// Two nodes of four CPUs, two to a core: cores 0, 1 on node 0 and 2, 3 on node 1.
    fn machine() -> CpuShares {
        let cpu = |id: u32| Cpu { id, core: id % 4, node: Some(id % 4 / 2) };
        CpuShares::new((0..8).map(cpu).collect())
    }

    fn gpus(nodes: &[Option<u32>]) -> Vec<Device> {
        let gpu = |(index, node): (usize, &Option<u32>)| Device {
            numa_node: *node,
            ..Device::plain(format!("GPU-{index}").as_str().into(), DeviceKind::Gpu, "H200".to_owned())
        };
        nodes.iter().enumerate().map(gpu).collect()
    }

    fn slots(count: usize) -> Vec<Device> {
        let slot =
            |index| Device::plain(format!("cpu-{index}").as_str().into(), DeviceKind::Cpu, "slot".to_owned());
        (0..count).map(slot).collect()
    }

    fn order(number: u32, devices: &[&str], cpus: Option<u32>) -> Order {
        let devices = devices.iter().map(|&id| id.into()).collect();
        Order { devices, cpus, ..tests::order(number, "any") }
    }

    #[test]
    fn a_lease_gets_its_part_of_the_machine_near_its_gpu_and_whole_cores() {
        let check = |devices: &[Device], order: Order, want: &[u32]| {
            assert_eq!(machine().give(&order, devices), want, "{:?} {:?}", order.devices, order.cpus);
        };
        let two = gpus(&[Some(0), Some(1)]);
        check(&two, order(1, &["GPU-0"], None), &[0, 1, 4, 5]);
        check(&two, order(1, &["GPU-1"], None), &[2, 3, 6, 7]);
        check(&two, order(1, &["GPU-0", "GPU-1"], None), &[0, 1, 2, 3, 4, 5, 6, 7]);
        check(&two, order(1, &["GPU-1"], Some(2)), &[2, 6]);
        // More than its node has: the rest from the other.
        check(&two, order(1, &["GPU-1"], Some(6)), &[0, 2, 3, 4, 6, 7]);
        check(&two, order(1, &["GPU-1"], Some(99)), &[0, 1, 2, 3, 4, 5, 6, 7]);
        check(&gpus(&[None, None]), order(1, &["GPU-1"], None), &[0, 1, 4, 5]);
        check(&slots(4), order(1, &["cpu-3"], None), &[0, 4]);
        // For slots `resources.cpus` is their number, which is in the lease.
        check(&slots(4), order(1, &["cpu-0", "cpu-1"], Some(2)), &[0, 1, 4, 5]);
        check(&slots(99), order(1, &["cpu-3"], None), &[0]);
        check(&slots(2), order(1, &[], None), &[]);
    }

    #[test]
    fn no_cpu_is_given_twice_while_enough_are_there() {
        let mut shares = machine();
        let devices = gpus(&[Some(0), Some(0), Some(0), Some(0)]);
        let mut seen = BTreeSet::new();
        for number in 0..4 {
            let id = format!("GPU-{number}");
            let given = shares.give(&order(number, &[&id], None), &devices);
            assert_eq!(given.len(), 2);
            for cpu in given {
                assert!(seen.insert(cpu), "CPU {cpu} was given twice");
            }
        }
        // None is left: the least given are shared.
        assert_eq!(shares.give(&order(5, &["GPU-0"], Some(8)), &devices).len(), 8);
        // What is taken back is given first.
        shares.take_back(&order(5, &[], None).key);
        shares.take_back(&order(2, &[], None).key);
        shares.hold(order(6, &[], None).key, &[7]);
        let again = shares.give(&order(7, &["GPU-2"], None), &devices);
        assert_eq!(again, [2, 6]);
    }

    #[test]
    fn a_machine_whose_cpus_cannot_be_read_binds_nobody() {
        assert_eq!(CpuShares::default().give(&order(1, &["cpu-0"], None), &slots(1)), Vec::<u32>::new());
    }
}
