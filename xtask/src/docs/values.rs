//! The chart's values, as their comments describe them.
//!
//! A comment that begins with `# --` describes the field below it; what follows `Example:` in it is one. Only as much of
//! YAML is read as the file uses: one key a line, and lists and maps in blocks or on one line.

use crate::step::{Failure, Result};

/// A field of the values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    /// Its place, with dots.
    pub(super) path: String,
    /// Its value where nobody sets it, on one line.
    pub(super) default: String,
    pub(super) about: String,
    /// A value that it may have; empty where there is none.
    pub(super) example: String,
}

/// All fields, in their order.
pub(super) fn fields(text: &str) -> Result<Vec<Field>> {
    let lines: Vec<&str> = text.lines().collect();
    let mut fields = Vec::new();
    let mut above: Vec<(usize, &str)> = Vec::new();
    let mut comment: Option<String> = None;
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        at += 1;
        let told = line.trim_start();
        if let Some(begun) = told.strip_prefix("# -- ") {
            comment = Some(begun.to_owned());
        } else if let Some(more) = told.strip_prefix('#') {
            if let Some(comment) = &mut comment {
                comment.push(' ');
                comment.push_str(more.trim());
            }
        } else if let Some((key, value)) = entry(told) {
            let indent = indent(line);
            above.retain(|(outer, _)| *outer < indent);
            above.push((indent, key));
            let below = lines[at..].iter().take_while(|line| deeper(line, indent)).count();
            let path = above.iter().map(|(_, key)| *key).collect::<Vec<_>>().join(".");
            match comment.take() {
                Some(comment) => {
                    let block = &lines[at..at + below];
                    let default = if value.is_empty() { flow(block) } else { value.to_owned() };
                    let (about, example) = comment.split_once(" Example: ").unwrap_or((&comment, ""));
                    let (about, example) = (about.to_owned(), example.to_owned());
                    fields.push(Field { path, default, about, example });
                    at += below;
                }
                None if value.is_empty() => {}
                None => return Err(Failure::new(format!("values.yaml:{at}: `{path}` is not described"))),
            }
        } else {
            comment = None;
        }
    }
    Ok(fields)
}

/// The key and the value of a line; the value is empty where a block follows.
fn entry(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    (!key.starts_with('-') && (value.is_empty() || value.starts_with(' '))).then(|| (key, value.trim()))
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn deeper(line: &str, than: usize) -> bool {
    !line.trim().is_empty() && indent(line) > than
}

/// A block on one line.
fn flow(block: &[&str]) -> String {
    let Some(first) = block.first() else { return String::new() };
    let items: Vec<&str> = block.iter().filter_map(|line| line.trim_start().strip_prefix("- ")).collect();
    if first.trim_start().starts_with("- ") {
        return format!("[{}]", items.join(", "));
    }
    let mut entries = Vec::new();
    for (at, line) in block.iter().enumerate().filter(|(_, line)| indent(line) == indent(first)) {
        if let Some((key, value)) = entry(line.trim_start()) {
            let below: Vec<&str> =
                block[at + 1..].iter().copied().take_while(|below| deeper(below, indent(line))).collect();
            let value = if value.is_empty() { flow(&below) } else { value.to_owned() };
            entries.push(format!("{key}: {value}"));
        }
    }
    format!("{{{}}}", entries.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: &str = "\
# A file.
# -- A name,
# in two lines.
# Example: `mine`
name: \"\"

outer:
  # -- How many.
  count: 3
  inner:
    # -- A block.
    block:
      a: 1
      b:
        - c
        - d
# -- Flow.
list: [1, 2]
";

    #[test]
    fn fields_have_places_defaults_and_examples() {
        let field = |path: &str, default: &str, about: &str, example: &str| Field {
            path: path.to_owned(),
            default: default.to_owned(),
            about: about.to_owned(),
            example: example.to_owned(),
        };
        let expected = [
            field("name", "\"\"", "A name, in two lines.", "`mine`"),
            field("outer.count", "3", "How many.", ""),
            field("outer.inner.block", "{a: 1, b: [c, d]}", "A block.", ""),
            field("list", "[1, 2]", "Flow.", ""),
        ];
        assert_eq!(fields(VALUES).unwrap(), expected);
    }

    #[test]
    fn a_field_that_nobody_describes_is_an_error() {
        let error = fields("# -- Described.\na: 1\nb: 2\n").unwrap_err();
        assert_eq!(error.to_string(), "values.yaml:3: `b` is not described");
    }
}
