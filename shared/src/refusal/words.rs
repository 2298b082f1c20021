//! The words of refusals: how what is wrong is put where it needs more than a template.

use super::Refusal;

/// The longest sentence of one of several problems, characters: so many as an answer tells fit its headers.
const PROBLEM_MAX_CHARS: usize = 300;

/// A moment's day, in UTC.
pub(super) fn day(wall_ms: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(wall_ms);
    moment.map_or_else(|_| format!("{wall_ms} ms"), |moment| moment.strftime("%Y-%m-%d").to_string())
}

pub(super) fn list(problems: &[Refusal], more: usize) -> String {
    let told = problems.iter().map(|problem| {
        let rule = problem.rule().map(|rule| format!("[{rule}] ")).unwrap_or_default();
        format!("{rule}{}", sentence(problem))
    });
    let rest = (more > 0).then(|| format!("and {more} more"));
    let all: Vec<String> = told.chain(rest).collect();
    format!("{} problems: {}", problems.len() + more, all.join("; "))
}

pub(super) fn sentence(problem: &Refusal) -> String {
    problem.to_string().chars().take(PROBLEM_MAX_CHARS).collect()
}

/// `finding 2 at /findings/1/claim: `.
pub(super) fn place(finding: Option<u32>, pointer: &str) -> String {
    match (finding, pointer) {
        (None, "") => "the review: ".to_owned(),
        (None, pointer) => format!("the review at {pointer}: "),
        (Some(finding), pointer) => format!("finding {finding} at {pointer}: "),
    }
}

/// What a user typed is quoted; a name like `9 of digits-0a1b2c` was composed of what is known.
pub(super) fn shown(what: &str, name: &str) -> String {
    match what {
        "iteration" | "lever" | "finding" | "log" => name.to_owned(),
        "ledger" => format!("in {name}"),
        _ => format!("{name:?}"),
    }
}
