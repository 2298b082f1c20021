//! NVML without a GPU: a library with the symbols that a worker calls. At every call it reads the text file
//! that `WINDLASS_FAKE_NVML` names, so that a test changes the machine while it is looked at. It never
//! remembers anything.
//!
//! ```text
//! driver 570.10
//! gpu GPU-1111 81920 4 NVIDIA H100       <- uuid, MiB in all, MiB in use, name
//! process GPU-1111 4242                  <- uuid, pid
//! lost GPU-1111                          <- every call on it answers GPU_IS_LOST
//! ```

#![expect(unsafe_code, reason = "a C library is made of unmangled functions over raw pointers")]

use std::ffi::{CString, c_char, c_uint, c_void};

const SUCCESS: c_uint = 0;
const INVALID_ARGUMENT: c_uint = 2;
const NOT_FOUND: c_uint = 6;
const INSUFFICIENT_SIZE: c_uint = 7;
const GPU_IS_LOST: c_uint = 15;
const MIB: u64 = 1 << 20;

struct Gpu {
    uuid: String,
    total_mib: u64,
    used_mib: u64,
    name: String,
    pids: Vec<c_uint>,
    is_lost: bool,
}

#[derive(Default)]
struct Machine {
    driver: String,
    gpus: Vec<Gpu>,
}

/// `nvmlMemory_v2_t`.
#[repr(C)]
pub struct Memory {
    version: c_uint,
    total: u64,
    reserved: u64,
    free: u64,
    used: u64,
}

/// `nvmlProcessInfo_t`.
#[repr(C)]
pub struct ProcessInfo {
    pid: c_uint,
    used: u64,
    gpu_instance: c_uint,
    compute_instance: c_uint,
}

fn machine() -> Machine {
    let path = std::env::var_os("WINDLASS_FAKE_NVML").unwrap_or_default();
    read(&std::fs::read_to_string(path).unwrap_or_default())
}

/// Lines that say nothing known are skipped.
fn read(text: &str) -> Machine {
    let mut machine = Machine::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (kind, first) = (words.next().unwrap_or_default(), words.next().unwrap_or_default().to_owned());
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
        let known = machine.gpus.iter().position(|gpu| gpu.uuid == first);
        match (kind, known) {
            ("driver", _) => machine.driver = first,
            ("gpu", None) => {
                let (total_mib, used_mib) = (number(), number());
                let name = words.collect::<Vec<_>>().join(" ");
                let (pids, is_lost) = (Vec::new(), false);
                machine.gpus.push(Gpu { uuid: first, total_mib, used_mib, name, pids, is_lost });
            }
            ("process", Some(at)) => {
                machine.gpus[at].pids.push(c_uint::try_from(number()).unwrap_or(0));
            }
            ("lost", Some(at)) => machine.gpus[at].is_lost = true,
            _ => {}
        }
    }
    machine
}

/// Asks the GPU behind a handle, which is its index and one.
fn ask(device: *mut c_void, answer: impl FnOnce(&Gpu) -> c_uint) -> c_uint {
    match machine().gpus.get((device as usize).wrapping_sub(1)) {
        None => INVALID_ARGUMENT,
        Some(gpu) if gpu.is_lost => GPU_IS_LOST,
        Some(gpu) => answer(gpu),
    }
}

/// # Safety
/// `buffer` must have room for `length` bytes.
unsafe fn write_text(text: &str, buffer: *mut c_char, length: c_uint) -> c_uint {
    let Ok(text) = CString::new(text) else { return INVALID_ARGUMENT };
    let bytes = text.as_bytes_with_nul();
    if buffer.is_null() || bytes.len() > length as usize {
        return INSUFFICIENT_SIZE;
    }
    // SAFETY: the caller gives `length` bytes, and `bytes` is not longer.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), buffer, bytes.len()) };
    SUCCESS
}

/// # Safety
/// `to` must be null or writable.
unsafe fn write_to<T>(to: *mut T, value: T) -> c_uint {
    if to.is_null() {
        return INVALID_ARGUMENT;
    }
    // SAFETY: not null, and the caller says that it is writable.
    unsafe { to.write(value) };
    SUCCESS
}

/// Begins.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> c_uint {
    SUCCESS
}

/// Ends.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> c_uint {
    SUCCESS
}

/// The driver's version.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetDriverVersion(buffer: *mut c_char, length: c_uint) -> c_uint {
    // SAFETY: the caller's promise is this function's own.
    unsafe { write_text(&machine().driver, buffer, length) }
}

/// How many GPUs there are.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> c_uint {
    // SAFETY: the caller's promise is this function's own.
    unsafe { write_to(count, c_uint::try_from(machine().gpus.len()).unwrap_or(0)) }
}

/// The handle of one GPU.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, device: *mut *mut c_void) -> c_uint {
    if index as usize >= machine().gpus.len() {
        return INVALID_ARGUMENT;
    }
    // SAFETY: the caller's promise is this function's own.
    unsafe { write_to(device, (index as usize + 1) as *mut c_void) }
}

/// The handle of one GPU.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByUUID(uuid: *const c_char, device: *mut *mut c_void) -> c_uint {
    if uuid.is_null() {
        return INVALID_ARGUMENT;
    }
    // SAFETY: not null, and NVML takes a C string.
    let uuid = unsafe { std::ffi::CStr::from_ptr(uuid) }.to_string_lossy().into_owned();
    match machine().gpus.iter().position(|gpu| gpu.uuid == uuid) {
        // SAFETY: the caller's promise is this function's own.
        Some(index) => unsafe { write_to(device, (index + 1) as *mut c_void) },
        None => NOT_FOUND,
    }
}

/// The model's name.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetName(
    device: *mut c_void,
    buffer: *mut c_char,
    length: c_uint,
) -> c_uint {
    // SAFETY: the caller's promise is this function's own.
    ask(device, |gpu| unsafe { write_text(&gpu.name, buffer, length) })
}

/// The stable id.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUUID(
    device: *mut c_void,
    buffer: *mut c_char,
    length: c_uint,
) -> c_uint {
    // SAFETY: the caller's promise is this function's own.
    ask(device, |gpu| unsafe { write_text(&gpu.uuid, buffer, length) })
}

/// Memory, in the second version of the structure only.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: *mut c_void, memory: *mut Memory) -> c_uint {
    ask(device, |gpu| {
        let version = 40 | 2 << 24;
        // SAFETY: NVML takes a structure whose version the caller has set.
        if memory.is_null() || unsafe { (*memory).version } != version {
            return INVALID_ARGUMENT;
        }
        let (total, used) = (gpu.total_mib * MIB, gpu.used_mib * MIB);
        let free = total.saturating_sub(used);
        // SAFETY: not null, and of the version that was checked.
        unsafe { write_to(memory, Memory { version, total, reserved: 0, free, used }) }
    })
}

/// The processes on a GPU; with too little room, how many there are.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    device: *mut c_void,
    count: *mut c_uint,
    infos: *mut ProcessInfo,
) -> c_uint {
    ask(device, |gpu| {
        if count.is_null() {
            return INVALID_ARGUMENT;
        }
        // SAFETY: not null; NVML takes the room there is and gives the number there are.
        let room = unsafe { count.replace(c_uint::try_from(gpu.pids.len()).unwrap_or(0)) };
        if (room as usize) < gpu.pids.len() {
            return INSUFFICIENT_SIZE;
        }
        for (index, &pid) in gpu.pids.iter().enumerate() {
            let none = c_uint::MAX;
            let info = ProcessInfo { pid, used: MIB, gpu_instance: none, compute_instance: none };
            // SAFETY: the caller has room for at least this many.
            unsafe { infos.add(index).write(info) };
        }
        SUCCESS
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_read_as_it_is_written() {
        let machine =
            read("driver 1.2\ngpu A 100 4 Big GPU\ngpu B x\nprocess A 7\nlost B\nprocess C 8\nnoise");
        assert_eq!((machine.driver.as_str(), machine.gpus.len()), ("1.2", 2));
        let (a, b) = (&machine.gpus[0], &machine.gpus[1]);
        assert_eq!(
            (a.total_mib, a.used_mib, a.name.as_str(), a.pids.as_slice()),
            (100, 4, "Big GPU", &[7][..])
        );
        assert!(b.is_lost && !a.is_lost && b.total_mib == 0);
        assert_eq!((size_of::<Memory>(), size_of::<ProcessInfo>()), (40, 24));
    }
}
