//! Bytes of a log become a metric, or a reason why there is none (P18).
