//! Event sets: each tells the events that were written into the file after it was made, once.

use super::file::Happened;
use super::{INVALID_ARGUMENT, NOT_SUPPORTED, SUCCESS, TIMEOUT, ask, handle, machine, write_to};
use std::ffi::{c_uint, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};

const DOUBLE_BIT: u64 = 2;
const XID: u64 = 8;

/// `nvmlEventData_t`.
#[repr(C)]
pub struct EventData {
    device: *mut c_void,
    event_type: u64,
    event_data: u64,
    gpu_instance: c_uint,
    compute_instance: c_uint,
}

/// Makes a set.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlEventSetCreate(set: *mut *mut c_void) -> c_uint {
    let machine = machine();
    if machine.unsupported.contains("events") {
        return NOT_SUPPORTED;
    }
    let told = Box::into_raw(Box::new(AtomicUsize::new(machine.events.len())));
    // SAFETY: the caller's promise is this function's own.
    unsafe { write_to(set, told.cast()) }
}

/// The next event; there is no waiting for one.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlEventSetWait_v2(
    set: *mut c_void,
    data: *mut EventData,
    _timeout_ms: c_uint,
) -> c_uint {
    if set.is_null() {
        return INVALID_ARGUMENT;
    }
    // SAFETY: the caller gives a set that was made above and not freed.
    let told = unsafe { &*set.cast::<AtomicUsize>() };
    let machine = machine();
    // A file that was written anew may have fewer.
    let next = told.load(Ordering::SeqCst).min(machine.events.len());
    let Some(event) = machine.events.get(next) else {
        told.store(next, Ordering::SeqCst);
        return TIMEOUT;
    };
    told.store(next + 1, Ordering::SeqCst);
    let (event_type, event_data) = match event.what {
        Happened::Xid(xid) => (XID, xid),
        Happened::DoubleBit => (DOUBLE_BIT, 0),
    };
    let device = machine.place(&event.uuid).map_or(std::ptr::null_mut(), handle);
    let (gpu_instance, compute_instance) = (event.instance, c_uint::MAX);
    // SAFETY: the caller's promise is this function's own.
    unsafe { write_to(data, EventData { device, event_type, event_data, gpu_instance, compute_instance }) }
}

/// Ends a set.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlEventSetFree(set: *mut c_void) -> c_uint {
    if set.is_null() {
        return INVALID_ARGUMENT;
    }
    // SAFETY: the caller gives a set that was made above, for the last time.
    drop(unsafe { Box::from_raw(set.cast::<AtomicUsize>()) });
    SUCCESS
}

/// Every set hears of every GPU.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceRegisterEvents(
    device: *mut c_void,
    _types: u64,
    set: *mut c_void,
) -> c_uint {
    if set.is_null() { INVALID_ARGUMENT } else { ask(device, "events", |_| SUCCESS) }
}

/// What can be told of a GPU.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetSupportedEventTypes(device: *mut c_void, types: *mut u64) -> c_uint {
    // SAFETY: the caller's promise is this function's own.
    ask(device, "events", |_| unsafe { write_to(types, DOUBLE_BIT | XID) })
}
