//! MIG: a GPU that is cut into slices.

use super::{INVALID_ARGUMENT, NOT_FOUND, NOT_SUPPORTED, SUCCESS, ask, handle, machine, write_to};
use std::ffi::{c_uint, c_void};

/// Places for slices on one GPU, as on real ones.
const PLACES: c_uint = 7;

/// `nvmlDeviceAttributes_t`.
#[repr(C)]
pub struct Attributes {
    counts: [c_uint; 8],
    memory_mib: u64,
}

/// Whether a GPU is in MIG mode.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMigMode(
    device: *mut c_void,
    current: *mut c_uint,
    pending: *mut c_uint,
) -> c_uint {
    ask(device, "mig", |gpu| {
        let is_on = gpu.is_mig || machine().slices(&gpu.uuid).next().is_some();
        // SAFETY: the caller's promise is this function's own.
        let wrote = unsafe { write_to(current, c_uint::from(is_on)) };
        if wrote != SUCCESS {
            return wrote;
        }
        // SAFETY: the caller's promise is this function's own.
        unsafe { write_to(pending, c_uint::from(is_on)) }
    })
}

/// Places for slices.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMaxMigDeviceCount(device: *mut c_void, count: *mut c_uint) -> c_uint {
    // SAFETY: the caller's promise is this function's own.
    ask(device, "mig", |_| unsafe { write_to(count, PLACES) })
}

/// The slice at a place; every second place is empty, as they may be.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    device: *mut c_void,
    index: c_uint,
    slice: *mut *mut c_void,
) -> c_uint {
    ask(device, "mig", |gpu| {
        let nth = index as usize / 2;
        match machine().slices(&gpu.uuid).nth(nth).filter(|_| index.is_multiple_of(2)) {
            // SAFETY: the caller's promise is this function's own.
            Some((place, _)) => unsafe { write_to(slice, handle(place)) },
            None => NOT_FOUND,
        }
    })
}

/// Whether a handle is a slice's.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceIsMigDeviceHandle(device: *mut c_void, is_mig: *mut c_uint) -> c_uint {
    // SAFETY: the caller's promise is this function's own.
    ask(device, "mig", |one| unsafe { write_to(is_mig, c_uint::from(one.slice_of.is_some())) })
}

/// The GPU of a slice.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetDeviceHandleFromMigDeviceHandle(
    slice: *mut c_void,
    device: *mut *mut c_void,
) -> c_uint {
    ask(slice, "mig", |one| {
        let parent = one.slice_of.as_ref().and_then(|(parent, _)| machine().place(parent));
        match parent {
            // SAFETY: the caller's promise is this function's own.
            Some(place) => unsafe { write_to(device, handle(place)) },
            None => INVALID_ARGUMENT,
        }
    })
}

/// The GPU instance of a slice.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetGpuInstanceId(slice: *mut c_void, id: *mut c_uint) -> c_uint {
    ask(slice, "mig", |one| match &one.slice_of {
        // SAFETY: the caller's promise is this function's own.
        Some((_, instance)) => unsafe { write_to(id, *instance) },
        None => NOT_SUPPORTED,
    })
}

/// The size of a slice.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetAttributes_v2(
    device: *mut c_void,
    attributes: *mut Attributes,
) -> c_uint {
    ask(device, "mig", |one| match one.slice_of {
        Some(_) => {
            let value = Attributes { counts: [0; 8], memory_mib: one.total_mib };
            // SAFETY: the caller's promise is this function's own.
            unsafe { write_to(attributes, value) }
        }
        None => NOT_SUPPORTED,
    })
}
