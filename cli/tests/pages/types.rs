//! The tables of docs/json.md as types.

use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use windlass_shared::decimal::Decimal;
use windlass_shared::digest::Digest;

/// What a table says of an object.
#[derive(Debug, Default)]
pub struct Object {
    /// Its keys: the type, and whether it may be absent.
    keys: BTreeMap<String, (String, bool)>,
    /// It is another object by name.
    same_as: Option<String>,
}

/// The whole page.
#[derive(Debug, Default)]
pub struct Document {
    /// By `windlass.name/version`.
    pub schemas: BTreeMap<String, Object>,
    /// By name.
    pub objects: BTreeMap<String, Object>,
    /// Names that stand for any of several objects.
    unions: BTreeMap<String, Vec<String>>,
    text: String,
    seen: RefCell<BTreeSet<(String, String)>>,
}

impl Document {
    /// Reads the page: a heading names an object, the table below it has its keys.
    pub fn read(text: &str) -> Self {
        let mut document = Self { text: text.to_owned(), ..Self::default() };
        let mut current: Option<String> = None;
        let mut is_table = false;
        for line in text.lines() {
            if line.starts_with('#') {
                current = words(line).first().filter(|_| line.contains('`')).map(|name| (*name).to_owned());
                is_table = false;
                if let Some(name) = &current {
                    document.object(name);
                }
            } else if line.starts_with("| key | type |") {
                is_table = true;
            } else if let (Some(name), Some(cells)) =
                (&current, line.strip_prefix("| `").filter(|_| is_table))
            {
                let cells: Vec<&str> = cells.split(" | ").collect();
                let (keys, kind) = (format!("`{}", cells[0]), cells[1].trim());
                let is_optional = keys.ends_with("may be absent");
                for key in words(&keys) {
                    let entry = (kind.to_owned(), is_optional);
                    document.object(name).keys.insert(key.to_owned(), entry);
                }
            } else if let (Some(name), Some(other)) = (&current, line.strip_prefix("The keys of ")) {
                let other = words(other).first().map(|word| (*word).to_owned());
                document.object(name).same_as = other;
            } else if let Some((name, rest)) = line.split_once(" is one of: ") {
                let members = words(rest).into_iter().map(str::to_owned).collect();
                document.unions.insert(words(name)[0].to_owned(), members);
            }
        }
        document
    }

    fn object(&mut self, name: &str) -> &mut Object {
        let map = if name.starts_with("windlass.") { &mut self.schemas } else { &mut self.objects };
        map.entry(name.to_owned()).or_default()
    }

    /// Whether the page names a schema at all, in a section or in a row of a table of several.
    pub fn mentions(&self, schema: &str) -> bool {
        self.text.contains(&format!("`{schema}`"))
    }

    /// Holds a document against its schema.
    pub fn check(&self, schema: &Object, value: &Value, place: &str, wrong: &mut Vec<String>) {
        let (object, name) = match &schema.same_as {
            Some(other) => (&self.objects[other], other.as_str()),
            None => (schema, place),
        };
        self.check_object(object, name, value, place, wrong);
    }

    fn check_object(&self, object: &Object, name: &str, value: &Value, place: &str, wrong: &mut Vec<String>) {
        let Some(map) = value.as_object() else {
            return wrong.push(format!("{place} is no object: {value}"));
        };
        // What every change that is only asked about says.
        let is_asked = |key: &str| key == "dry_run" && !object.keys.contains_key(key);
        for (key, value) in map.iter().filter(|(key, _)| *key != "schema" && !is_asked(key)) {
            match object.keys.get(key) {
                Some((kind, _)) => {
                    self.seen.borrow_mut().insert((name.to_owned(), key.clone()));
                    self.check_type(kind, value, &format!("{place}.{key}"), wrong);
                }
                None => wrong.push(format!("{place}.{key} is not documented")),
            }
        }
        for (key, _) in object.keys.iter().filter(|(_, (_, is_optional))| !is_optional) {
            if !map.contains_key(key) {
                wrong.push(format!("{place}.{key} is documented and not there"));
            }
        }
    }

    fn check_type(&self, kind: &str, value: &Value, place: &str, wrong: &mut Vec<String>) {
        let parts: Vec<&str> = kind.split(" or ").collect();
        let mut best: Option<Vec<String>> = None;
        for part in parts {
            let mut problems = Vec::new();
            self.check_part(part, value, place, &mut problems);
            if problems.is_empty() {
                return;
            }
            // Of several alternatives the one that got deepest says most.
            let depth = |problems: &Vec<String>| problems.iter().map(|p| p.matches(['.', '[']).count()).max();
            if best.as_ref().is_none_or(|best| depth(&problems) > depth(best)) {
                best = Some(problems);
            }
        }
        wrong.extend(best.unwrap_or_default());
    }

    fn check_part(&self, kind: &str, value: &Value, place: &str, wrong: &mut Vec<String>) {
        if let Some(inner) = kind.strip_prefix("list of ") {
            match value.as_array() {
                Some(values) => values
                    .iter()
                    .for_each(|value| self.check_type(inner, value, &format!("{place}[]"), wrong)),
                None => wrong.push(format!("{place} is no list: {value}")),
            }
            return;
        }
        if let Some(inner) = kind.strip_prefix("map of ") {
            match value.as_object() {
                Some(map) => map
                    .values()
                    .for_each(|value| self.check_type(inner, value, &format!("{place}{{}}"), wrong)),
                None => wrong.push(format!("{place} is no map: {value}")),
            }
            return;
        }
        if let Some(members) = self.unions.get(kind) {
            let member = value["kind"].as_str().filter(|kind| members.iter().any(|member| member == kind));
            match member {
                Some(member) => self.check_object(
                    &self.objects[member],
                    member,
                    value,
                    &format!("{place}({member})"),
                    wrong,
                ),
                None => wrong.push(format!("{place} is of no documented kind: {}", value["kind"])),
            }
            return;
        }
        if let Some(object) = self.objects.get(kind) {
            return self.check_object(object, kind, value, place, wrong);
        }
        let text = value.as_str();
        let is_it = match kind {
            "any" => true,
            "null" => value.is_null(),
            "text" => text.is_some(),
            "integer" | "moment" => value.is_i64() || value.is_u64(),
            "duration" => value.is_u64(),
            "figure" => value.is_number(),
            "boolean" => value.is_boolean(),
            "digest" => text.and_then(Digest::parse).is_some(),
            "decimal" => text.and_then(Decimal::parse).is_some(),
            _ if kind.starts_with("one of ") => text.is_some_and(|text| words(kind).contains(&text)),
            _ => return wrong.push(format!("{place} has a type that the page does not define: {kind}")),
        };
        if !is_it {
            wrong.push(format!("{place} is no {kind}: {value}"));
        }
    }

    /// Keys that no checked document had, as `object.key`.
    pub fn never_seen(&self) -> Vec<String> {
        let seen = self.seen.borrow();
        let objects = self.objects.iter().chain(&self.schemas);
        let all =
            objects.flat_map(|(name, object)| object.keys.keys().map(move |key| (name.clone(), key.clone())));
        all.filter(|pair| !seen.contains(pair)).map(|(name, key)| format!("{name}.{key}")).collect()
    }
}

/// What stands between backquotes.
fn words(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}
