//! The published shape of a review, as a table, and everything in which a document differs from it: each with
//! the finding and the place, so that all can be repaired at once.

use super::{FINDINGS_MAX, Review};
use serde_json::Value;

/// The largest review, bytes: 64 findings with every text at length, and a message that one call may have.
pub const REVIEW_MAX_BYTES: usize = 2 << 20;
/// The longest text of a review, bytes.
const TEXT_MAX_BYTES: usize = 8_000;
/// Files, citations or questions of one list.
const ITEMS_MAX: usize = 64;
/// The largest recipe as JSON, bytes, and how deep it may go.
const RECIPE_MAX_BYTES: usize = 16 << 10;
const RECIPE_DEPTH_MAX: usize = 8;

/// Something that is not of the shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which finding, from 1; none for the review itself.
    pub finding: Option<u32>,
    /// The place as a JSON pointer; empty where the text is no JSON.
    pub pointer: String,
    /// What is wrong.
    pub problem: String,
}

/// Reads a review.
///
/// # Errors
/// Every fault, in the order of the document.
pub fn read(bytes: &[u8]) -> Result<Review, Vec<Fault>> {
    let whole = |problem: String| vec![Fault { finding: None, pointer: String::new(), problem }];
    if bytes.len() > REVIEW_MAX_BYTES {
        return Err(whole(format!("it has {} bytes; at most {REVIEW_MAX_BYTES} are taken", bytes.len())));
    }
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| whole(format!("it is no JSON: {error}")))?;
    let mut faults = Vec::new();
    check(&value, &REVIEW, "", &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    serde_json::from_value(value).map_err(|error| whole(error.to_string()))
}

/// What a value must be.
enum Shape {
    /// A text; whether it must say something.
    Text(Says),
    /// A whole number in this range.
    Whole(i64, i64),
    Boolean,
    OneOf(&'static [&'static str]),
    /// These fields and no others.
    Object(&'static [Field]),
    /// Any object, bounded; these of its fields are texts.
    Open(&'static [&'static str]),
    /// A list of these, with so many at the least.
    List(&'static Shape, usize),
    OrNull(&'static Shape),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    Something,
    MayBeEmpty,
}

struct Field {
    key: &'static str,
    is_required: bool,
    shape: Shape,
}

const fn must(key: &'static str, shape: Shape) -> Field {
    Field { key, is_required: true, shape }
}

const fn may(key: &'static str, shape: Shape) -> Field {
    Field { key, is_required: false, shape }
}

const SAID: Shape = Shape::Text(Says::Something);
const TEXT: Shape = Shape::Text(Says::MayBeEmpty);

const REVIEW: Shape = Shape::Object(&[
    must("iteration", Shape::Whole(1, u32::MAX as i64)),
    may("research_scale", Shape::OneOf(&["low", "medium", "high", "x-high"])),
    may("questions_asked", Shape::List(&TEXT, 0)),
    must("findings", Shape::List(&FINDING, 0)),
    may("summary", TEXT),
]);

const FINDING: Shape = Shape::Object(&[
    must("question", SAID),
    must("abstraction_level", Shape::Whole(1, 2)),
    must("claim", SAID),
    may(
        "recipe",
        Shape::Open(&[
            "method",
            "optimizer",
            "learning_rate",
            "lr_schedule",
            "weight_decay",
            "batch_size",
            "initialization",
            "regularization",
        ]),
    ),
    must("evidence", EVIDENCE),
    must("citations", Shape::List(&CITATION, 1)),
    may("applicability_to_our_setup", TEXT),
    must("proposed_change", SAID),
    may("files_to_edit", Shape::List(&SAID, 0)),
    may("how_to_verify", TEXT),
    must("verdict", Shape::OneOf(&["keep", "reject"])),
    may("verdict_reason", TEXT),
]);

const EVIDENCE: Shape = Shape::Object(&[
    must("strength", Shape::OneOf(&["strong", "moderate", "weak"])),
    may("n_papers_agree", Shape::Whole(0, i64::MAX)),
    may("has_ablation", Shape::Boolean),
    may("reported_gain", TEXT),
]);

const CITATION: Shape = Shape::Object(&[
    must("title", SAID),
    may("arxiv_id", Shape::OrNull(&TEXT)),
    may("doi", Shape::OrNull(&TEXT)),
    may("year", Shape::OrNull(&Shape::Whole(i64::MIN, i64::MAX))),
    may("venue", Shape::OrNull(&TEXT)),
    may("influential_citations", Shape::OrNull(&Shape::Whole(i64::MIN, i64::MAX))),
    may("url", Shape::OrNull(&TEXT)),
    may("snippet", Shape::OrNull(&TEXT)),
]);

fn check(value: &Value, shape: &Shape, at: &str, faults: &mut Vec<Fault>) {
    let found = match (shape, value) {
        (Shape::OrNull(_), Value::Null) => None,
        (Shape::OrNull(inner), _) => return check(value, inner, at, faults),
        (Shape::Text(says), Value::String(text)) => text_problem(text, *says),
        (Shape::Whole(least, most), Value::Number(number)) => match number.as_i64() {
            Some(whole) if (*least..=*most).contains(&whole) => None,
            Some(whole) if whole < *least => Some(format!("{whole} is too small; the least is {least}")),
            Some(whole) => Some(format!("{whole} is too large; the most is {most}")),
            None => Some(format!("{number} is no whole number")),
        },
        (Shape::Boolean, Value::Bool(_)) => None,
        (Shape::OneOf(words), Value::String(word)) if words.contains(&word.as_str()) => None,
        (Shape::OneOf(words), _) => Some(format!("{} is none of {}", shown(value), words.join(", "))),
        (Shape::Object(fields), Value::Object(given)) => {
            check_fields(given, fields, at, faults);
            None
        }
        (Shape::Open(texts), Value::Object(given)) => {
            for key in texts.iter().filter(|key| given.contains_key(**key)) {
                check(&given[*key], &TEXT, &format!("{at}/{key}"), faults);
            }
            let other = given.get("other_hparams").filter(|other| !other.is_object());
            if let Some(other) = other {
                fault(at, "other_hparams", format!("{} is no object", shown(other)), faults);
            }
            recipe_problem(value)
        }
        (Shape::List(inner, least), Value::Array(items)) => {
            let most = if at == "/findings" { FINDINGS_MAX } else { ITEMS_MAX };
            for (index, item) in items.iter().take(most).enumerate() {
                check(item, inner, &format!("{at}/{index}"), faults);
            }
            match items.len() {
                count if count < *least => Some(format!("is empty; give at least {least}")),
                count if count > most => Some(format!("has {count} entries; at most {most} are taken")),
                _ => None,
            }
        }
        (shape, value) => Some(format!("{} is no {}", shown(value), name(shape))),
    };
    if let Some(problem) = found {
        faults.push(Fault { finding: finding_of(at), pointer: at.to_owned(), problem });
    }
}

fn check_fields(given: &serde_json::Map<String, Value>, fields: &[Field], at: &str, faults: &mut Vec<Fault>) {
    for field in fields {
        match given.get(field.key) {
            Some(value) => check(value, &field.shape, &format!("{at}/{}", field.key), faults),
            None if field.is_required => fault(at, field.key, "is missing".to_owned(), faults),
            None => {}
        }
    }
    for key in given.keys().filter(|key| fields.iter().all(|field| field.key != key.as_str())) {
        let known: Vec<&str> = fields.iter().map(|field| field.key).collect();
        let problem = format!("is not known; there are {}", known.join(", "));
        fault(at, key, problem, faults);
    }
}

fn fault(at: &str, key: &str, problem: String, faults: &mut Vec<Fault>) {
    // As RFC 6901 escapes a key.
    let key: String = key.chars().take(64).collect::<String>().replace('~', "~0").replace('/', "~1");
    let pointer = format!("{at}/{key}");
    faults.push(Fault { finding: finding_of(&pointer), pointer, problem });
}

fn text_problem(text: &str, says: Says) -> Option<String> {
    if says == Says::Something && text.trim().is_empty() {
        return Some("is empty".to_owned());
    }
    let bytes = text.len();
    (bytes > TEXT_MAX_BYTES).then(|| format!("has {bytes} bytes; at most {TEXT_MAX_BYTES} are taken"))
}

fn recipe_problem(value: &Value) -> Option<String> {
    fn depth(value: &Value) -> usize {
        1 + match value {
            Value::Object(fields) => fields.values().map(depth).max().unwrap_or(0),
            Value::Array(items) => items.iter().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }
    let bytes = value.to_string().len();
    if bytes > RECIPE_MAX_BYTES {
        return Some(format!("has {bytes} bytes; at most {RECIPE_MAX_BYTES} are taken"));
    }
    (depth(value) > RECIPE_DEPTH_MAX).then(|| format!("goes more than {RECIPE_DEPTH_MAX} levels deep"))
}

/// The finding that a place lies in, from 1.
fn finding_of(pointer: &str) -> Option<u32> {
    let rest = pointer.strip_prefix("/findings/")?;
    rest.split('/').next()?.parse::<u32>().ok()?.checked_add(1)
}

fn name(shape: &Shape) -> &'static str {
    match shape {
        Shape::Text(_) | Shape::OneOf(_) => "text",
        Shape::Whole(..) => "whole number",
        Shape::Boolean => "true or false",
        Shape::Object(_) | Shape::Open(_) => "object",
        Shape::List(..) => "list",
        Shape::OrNull(inner) => name(inner),
    }
}

/// A value in a sentence, cut where it is long.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => other.to_string().chars().take(40).collect(),
    }
}

/// The shapes by the names of the published document, for the test that holds the two against each other.
#[cfg(test)]
pub(super) mod published {
    use super::{Field, Shape};
    use serde_json::Value;

    /// Where the table and the published schema differ.
    pub fn differences(schema: &Value) -> Vec<String> {
        let mut found = Vec::new();
        compare(schema, schema, &super::REVIEW, "", &mut found);
        found
    }

    fn compare(root: &Value, schema: &Value, shape: &Shape, at: &str, found: &mut Vec<String>) {
        let schema = match schema["$ref"].as_str() {
            Some(place) => root.pointer(place.trim_start_matches('#')).expect("a definition"),
            None => schema,
        };
        let mut hold = |is_so: bool, what: &str| {
            if !is_so {
                found.push(format!("{at}: {what}"));
            }
        };
        let types: Vec<&str> = match &schema["type"] {
            Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect(),
        };
        match shape {
            Shape::OrNull(inner) => {
                hold(types.contains(&"null"), "may be null");
                let mut plain = schema.clone();
                plain["type"] = types.iter().find(|kind| **kind != "null").copied().into();
                compare(root, &plain, inner, at, found);
            }
            Shape::Text(_) => hold(types == ["string"] && schema["enum"].is_null(), "a text"),
            Shape::Whole(least, _) => {
                hold(types == ["integer"], "a whole number");
                if let Some(words) = schema["enum"].as_array() {
                    hold(words[0].as_i64() == Some(*least), "its least value");
                }
            }
            Shape::Boolean => hold(types == ["boolean"], "true or false"),
            Shape::OneOf(words) => {
                let wanted: Vec<&str> =
                    schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                hold(wanted == *words, "its words");
            }
            Shape::Open(texts) => {
                hold(schema["additionalProperties"] == true, "takes more");
                let known = schema["properties"].as_object().expect("properties");
                hold(known.len() == texts.len() + 1 && known.contains_key("other_hparams"), "its keys");
                hold(texts.iter().all(|key| known.contains_key(*key)), "its texts");
            }
            Shape::List(inner, least) => {
                hold(schema["minItems"].as_u64().unwrap_or(0) == *least as u64, "its least length");
                compare(root, &schema["items"], inner, &format!("{at}/0"), found);
            }
            Shape::Object(fields) => {
                hold(schema["additionalProperties"] == false, "takes no more");
                let known = schema["properties"].as_object().expect("properties");
                hold(known.len() == fields.len(), "as many keys");
                let required: Vec<&str> =
                    schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                for Field { key, is_required, shape } in *fields {
                    let at = format!("{at}/{key}");
                    if *is_required != required.contains(key) {
                        found.push(format!("{at}: whether it is required"));
                    }
                    match known.get(*key) {
                        Some(schema) => compare(root, schema, shape, &at, found),
                        None => found.push(format!("{at}: is not published")),
                    }
                }
            }
        }
    }
}
