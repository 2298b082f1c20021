//! Times and sizes as people read them.

/// A moment's day, in UTC, as the ledger's rules count it.
pub fn day(wall_ms: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(wall_ms);
    moment.map_or_else(|_| format!("{wall_ms} ms"), |moment| moment.strftime("%Y-%m-%d").to_string())
}

/// A length of time: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match ms {
        0..10_000 => format!("{}.{} s", seconds, ms % 1000 / 100),
        10_000..120_000 => format!("{seconds} s"),
        120_000..7_200_000 => format!("{} min {} s", seconds / 60, seconds % 60),
        7_200_000..172_800_000 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// How long ago a moment was.
pub fn ago(wall_ms: i64, now_ms: i64) -> String {
    let seconds = (now_ms - wall_ms).max(0) / 1000;
    match seconds {
        0..5 => "just now".to_owned(),
        5..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// The time of day of a record, in the reader's zone.
pub fn clock(wall_ms: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(wall_ms);
    let zone = jiff::tz::TimeZone::system();
    moment.map_or_else(
        |_| ago(wall_ms, wall_ms),
        |moment| moment.to_zoned(zone).strftime("%H:%M:%S").to_string(),
    )
}

/// The present moment, milliseconds since the epoch.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A size: `512 B`, `3.4 KiB`, `80 GiB`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value < 10.0 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

/// A share of a whole: `8 %`.
pub fn percent(part: u64, whole: u64) -> String {
    let share = u128::from(part) * 100 / u128::from(whole.max(1));
    format!("{share} %")
}

/// Hours with the digits that matter: `36 s`, `0.2 h`, `1.4 h`, `120 h`.
pub fn hours(ms: u64) -> String {
    let hours = ms as f64 / 3_600_000.0;
    match hours {
        ..0.1 => duration(ms),
        0.1..100.0 => format!("{hours:.1} h"),
        _ => format!("{hours:.0} h"),
    }
}

/// How often: `once`, `twice`, `3 times`.
pub fn times(n: u32) -> String {
    match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}

/// A number with its noun: `1 lever`, `2 levers`.
pub fn count(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_read_as_people_say_them() {
        let durations = [(400, "0.4 s"), (12_345, "12 s"), (200_000, "3 min 20 s"), (7_500_000, "2 h 5 min")];
        for (ms, want) in durations {
            assert_eq!(duration(ms), want);
        }
        assert_eq!((percent(900, 12_000), percent(3, 0)), ("7 %".into(), "300 %".into()));
        for (ms, want) in [(50_000, "50 s"), (720_000, "0.2 h"), (5_040_000, "1.4 h"), (432_000_000, "120 h")]
        {
            assert_eq!(hours(ms), want);
        }
        assert_eq!(ago(0, 3_000), "just now");
        assert_eq!(ago(0, 600_000), "10 min ago");
        assert_eq!(
            (bytes(512), bytes(3_482), bytes(85_899_345_920)),
            ("512 B".into(), "3.4 KiB".into(), "80 GiB".into())
        );
    }
}
