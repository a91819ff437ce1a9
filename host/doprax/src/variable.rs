//! Names of variables as they are typed.

/// A name as environments have it (POSIX, section 8.1), lower case included.
pub(crate) fn parse_name(text: &str) -> Result<String, &'static str> {
    let mut characters = text.chars();
    let first = characters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    // Elasticsearch has names with dots and dashes in them.
    if first && characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')) {
        Ok(text.to_owned())
    } else if text.contains('=') {
        Err("write only the name, without a value")
    } else {
        Err("a name has letters, digits and _, and does not begin with a digit")
    }
}

/// `NAME=VALUE`.
pub(crate) fn parse_assignment(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((parse_name(name)?, value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_environments() {
        for good in ["A", "_a1", "discovery.type", "bootstrap.memory_lock"] {
            assert!(parse_name(good).is_ok(), "{good}");
        }
        for wrong in ["", "1a", "a b", "a=b", "ä", "$A"] {
            assert!(parse_name(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            parse_assignment("A=b=c"),
            Ok(("A".to_owned(), "b=c".to_owned()))
        );
    }
}
