//! Real processes on this machine: the binary, its coordinator, its workers, its shims. Every wait is for
//! a condition; every process is gone when its test ends.

mod harness;
mod project;
mod reading;

mod access;
mod access_table;
mod bad_input;
mod branches;
mod campaign;
mod crash;
mod demo;
mod deploy;
mod device;
mod docs;
mod driven;
mod driven_kills;
mod environment;
mod epochs;
mod fleet;
mod follow_up;
mod garbage;
mod gate;
mod help;
mod hostile;
mod hostile_files;
mod hosts;
mod import;
mod interrupt;
mod joining;
mod literature;
mod lost;
mod mcp;
mod moves;
mod outage;
mod reach;
mod refused;
mod replay;
mod research;
mod researcher;
mod restore;
mod score;
mod seat;
mod seen;
mod steer;
mod worker;
