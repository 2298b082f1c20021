//! NVML without a GPU: a library with the symbols that a worker calls. At every call it reads the text file
//! that `WINDLASS_FAKE_NVML` names, so that a test changes the machine while it is looked at. It remembers
//! nothing but how many of the events each event set has told.
//!
//! ```text
//! driver 570.10
//! init 9                                 <- what opening answers; `count 9`: what counting GPUs answers
//! gpu GPU-1111 81920 4 NVIDIA H100       <- uuid, MiB in all, MiB in use, name
//! slice GPU-1111 MIG-1 3 10240 4 H100 1g <- a GPU in MIG mode: parent, uuid, instance, MiB, MiB, name
//! mig GPU-1111                           <- MIG mode, with or without slices
//! process GPU-1111 4242                  <- uuid of a GPU or slice, pid
//! pci GPU-1111 00000000:1B:00.0
//! capability GPU-1111 9 0
//! minor GPU-1111 0
//! ecc GPU-1111 2                         <- double-bit errors since the driver was loaded
//! load GPU-1111 97 40                    <- GPU and memory utilisation, per cent
//! heat GPU-1111 61                       <- degrees
//! power GPU-1111 350000 700000           <- milliwatts drawn, and the limit
//! throttle GPU-1111 4                    <- NVML's bits
//! xid GPU-1111 79 [instance]             <- an event; those that stood there before a set was made are old
//! doublebit GPU-1111                     <- an event too
//! hang                                   <- counting GPUs does not return while this stands there
//! lost GPU-1111                          <- every call on it answers GPU_IS_LOST
//! unsupported memory                     <- every call of this word answers NOT_SUPPORTED: memory, name,
//!                                           processes, pci, capability, minor, ecc, mig, events, load,
//!                                           heat, power, throttle
//! ```

#![expect(unsafe_code, reason = "a C library is made of unmangled functions over raw pointers")]

mod events;
mod file;
mod mig;
mod telemetry;

use file::{Device, Machine, read};
use std::ffi::{CString, c_char, c_uint, c_void};

pub use events::EventData;
pub use mig::Attributes;
pub use telemetry::Utilization;

const SUCCESS: c_uint = 0;
const INVALID_ARGUMENT: c_uint = 2;
const NOT_SUPPORTED: c_uint = 3;
const NOT_FOUND: c_uint = 6;
const INSUFFICIENT_SIZE: c_uint = 7;
const TIMEOUT: c_uint = 10;
const GPU_IS_LOST: c_uint = 15;
const MIB: u64 = 1 << 20;

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

/// `nvmlPciInfo_t`.
#[repr(C)]
pub struct PciInfo {
    bus_id_legacy: [c_char; 16],
    domain: c_uint,
    bus: c_uint,
    device: c_uint,
    pci_device_id: c_uint,
    pci_sub_system_id: c_uint,
    bus_id: [c_char; 32],
}

fn machine() -> Machine {
    let path = std::env::var_os("WINDLASS_FAKE_NVML").unwrap_or_default();
    read(&std::fs::read_to_string(path).unwrap_or_default())
}

/// Asks the device behind a handle, which is its place in the list and one, for a reading of this name.
fn ask(device: *mut c_void, reading: &str, answer: impl FnOnce(&Device) -> c_uint) -> c_uint {
    let machine = machine();
    match machine.devices.get((device as usize).wrapping_sub(1)) {
        None => INVALID_ARGUMENT,
        Some(device) if machine.is_lost(device) => GPU_IS_LOST,
        Some(_) if machine.unsupported.contains(reading) => NOT_SUPPORTED,
        Some(device) => answer(device),
    }
}

fn handle(place: usize) -> *mut c_void {
    std::ptr::without_provenance_mut(place + 1)
}

/// A number that may be absent: then it is not supported.
///
/// # Safety
/// `to` must be null or writable.
unsafe fn write_known<T>(to: *mut T, value: Option<T>) -> c_uint {
    match value {
        // SAFETY: the caller's promise is this function's own.
        Some(value) => unsafe { write_to(to, value) },
        None => NOT_SUPPORTED,
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
    machine().init
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
    let mut machine = machine();
    while machine.hangs {
        std::thread::sleep(std::time::Duration::from_millis(20));
        machine = self::machine();
    }
    if machine.count != SUCCESS {
        return machine.count;
    }
    // SAFETY: the caller's promise is this function's own.
    unsafe { write_to(count, c_uint::try_from(machine.gpus().count()).unwrap_or(0)) }
}

/// The handle of one GPU.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, device: *mut *mut c_void) -> c_uint {
    let Some(place) = machine().gpus().nth(index as usize).map(|(place, _)| place) else {
        return INVALID_ARGUMENT;
    };
    // SAFETY: the caller's promise is this function's own.
    unsafe { write_to(device, handle(place)) }
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
    match machine().place(&uuid) {
        // SAFETY: the caller's promise is this function's own.
        Some(place) => unsafe { write_to(device, handle(place)) },
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
    ask(device, "name", |gpu| unsafe { write_text(&gpu.name, buffer, length) })
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
    ask(device, "uuid", |gpu| unsafe { write_text(&gpu.uuid, buffer, length) })
}

/// Memory, in the second version of the structure only.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: *mut c_void, memory: *mut Memory) -> c_uint {
    ask(device, "memory", |gpu| {
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
    ask(device, "processes", |gpu| {
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

/// The number of the device node.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMinorNumber(device: *mut c_void, minor: *mut c_uint) -> c_uint {
    // SAFETY: the caller's promise is this function's own.
    ask(device, "minor", |gpu| unsafe { write_known(minor, gpu.minor) })
}

/// What the GPU can do.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCudaComputeCapability(
    device: *mut c_void,
    major: *mut c_uint,
    minor: *mut c_uint,
) -> c_uint {
    ask(device, "capability", |gpu| {
        // SAFETY: the caller's promise is this function's own.
        let wrote = unsafe { write_known(major, gpu.capability.map(|(major, _)| major)) };
        if wrote != SUCCESS {
            return wrote;
        }
        // SAFETY: the caller's promise is this function's own.
        unsafe { write_known(minor, gpu.capability.map(|(_, minor)| minor)) }
    })
}

/// Where it is plugged in.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPciInfo_v3(device: *mut c_void, pci: *mut PciInfo) -> c_uint {
    ask(device, "pci", |gpu| {
        let Some(address) = &gpu.pci else { return NOT_SUPPORTED };
        let mut bus_id = [0; 32];
        for (to, byte) in bus_id.iter_mut().take(31).zip(address.bytes()) {
            *to = byte as c_char;
        }
        let info = PciInfo {
            bus_id_legacy: [0; 16],
            domain: 0,
            bus: 0,
            device: 0,
            pci_device_id: 0,
            pci_sub_system_id: 0,
            bus_id,
        };
        // SAFETY: the caller's promise is this function's own.
        unsafe { write_to(pci, info) }
    })
}

/// ECC errors; only double-bit ones are counted here.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetTotalEccErrors(
    device: *mut c_void,
    kind: c_uint,
    _counter: c_uint,
    count: *mut u64,
) -> c_uint {
    const UNCORRECTED: c_uint = 1;
    ask(device, "ecc", |gpu| {
        let errors = gpu.ecc.map(|errors| if kind == UNCORRECTED { errors } else { 0 });
        // SAFETY: the caller's promise is this function's own.
        unsafe { write_known(count, errors) }
    })
}
