//! Where in a TOML file a key stands.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// The line of a dotted key, counted from 1; numbers in it are places in lists. Of one that is not there, the line of the
/// nearest section around it that is.
pub(super) fn line_of(text: &str, field: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut steps = field.split('.');
    let first = steps.next()?;
    let (key, value) = document.get_ref().get_key_value(first)?;
    let (mut place, mut value) = (key.span(), value.get_ref());
    for step in steps {
        let Some((span, inner)) = within(value, step) else {
            break;
        };
        (place, value) = (span, inner);
    }
    let before = text.get(..place.start)?;
    Some(before.matches('\n').count() + 1)
}

fn within<'a, 'i>(value: &'a DeValue<'i>, step: &str) -> Option<(Range<usize>, &'a DeValue<'i>)> {
    match value {
        DeValue::Table(table) => {
            let (key, value) = table.get_key_value(step)?;
            Some((key.span(), value.get_ref()))
        }
        DeValue::Array(items) => {
            let item = items.get(step.parse::<usize>().ok()?)?;
            Some((item.span(), item.get_ref()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_wherever_it_stands() {
        let text = "roles = []\n\n[http]\nlisten = \"a\" # x = 1\n[kafka.tls]\nca_file = \"b\"\n\n[[sources]]\n\
                    name = \"one\"\n[[sources]]\nname = \"two\"\nkey = '''\nk'''\ntrusted = true\n[log]\nformat = 1\n";
        for (field, line) in [
            ("roles", Some(1)),
            ("http.listen", Some(4)),
            ("http", Some(3)),
            ("kafka.tls.ca_file", Some(6)),
            ("sources.0.name", Some(9)),
            ("sources.1.trusted", Some(14)),
            ("sources.1.key_file", Some(10)),
            ("log.format", Some(16)),
            ("capture.lease", None),
        ] {
            assert_eq!(line_of(text, field), line, "{field}");
        }
        assert_eq!(line_of("[http", "http"), None);
    }
}
