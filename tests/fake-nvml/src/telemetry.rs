//! Figures of a running GPU. What the file does not say is not supported.

use super::{ask, write_known};
use std::ffi::{c_uint, c_void};

/// `nvmlUtilization_t`.
#[repr(C)]
pub struct Utilization {
    gpu: c_uint,
    memory: c_uint,
}

/// How busy it is.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUtilizationRates(device: *mut c_void, to: *mut Utilization) -> c_uint {
    ask(device, "load", |one| {
        let rates = one.load.map(|(gpu, memory)| Utilization { gpu, memory });
        // SAFETY: the caller's promise is this function's own.
        unsafe { write_known(to, rates) }
    })
}

/// How hot it is.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetTemperature(
    device: *mut c_void,
    _sensor: c_uint,
    to: *mut c_uint,
) -> c_uint {
    // SAFETY: the caller's promise is this function's own.
    ask(device, "heat", |one| unsafe { write_known(to, one.heat) })
}

/// What it draws.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPowerUsage(device: *mut c_void, to: *mut c_uint) -> c_uint {
    // SAFETY: the caller's promise is this function's own.
    ask(device, "power", |one| unsafe { write_known(to, one.power.map(|(drawn, _)| drawn)) })
}

/// What it may draw.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPowerManagementLimit(device: *mut c_void, to: *mut c_uint) -> c_uint {
    // SAFETY: the caller's promise is this function's own.
    ask(device, "power", |one| unsafe { write_known(to, one.power.map(|(_, limit)| limit)) })
}

/// What slows it down, as bits.
///
/// # Safety
/// As NVML's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCurrentClocksThrottleReasons(
    device: *mut c_void,
    to: *mut u64,
) -> c_uint {
    // SAFETY: the caller's promise is this function's own.
    ask(device, "throttle", |one| unsafe { write_known(to, one.throttle) })
}

#[cfg(test)]
mod tests {
    use crate::{Attributes, EventData, Memory, PciInfo, ProcessInfo, Utilization};

    #[test]
    fn structures_are_as_large_as_nvmls() {
        assert_eq!((size_of::<Memory>(), size_of::<ProcessInfo>(), size_of::<PciInfo>()), (40, 24, 68));
        assert_eq!((size_of::<EventData>(), size_of::<Attributes>(), size_of::<Utilization>()), (32, 40, 8));
    }
}
