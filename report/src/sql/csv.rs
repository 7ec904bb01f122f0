//! Reads comma-separated values (RFC 4180).

/// All records of a text, the header first; `None` if a quote is not closed.
pub fn records(text: &str) -> Option<Vec<Vec<String>>> {
    let (mut records, mut record, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if field.is_empty() => loop {
                match letters.next()? {
                    '"' if letters.peek() == Some(&'"') => field.extend(letters.next()),
                    '"' => break,
                    letter => field.push(letter),
                }
            },
            ',' => record.push(std::mem::take(&mut field)),
            '\r' => {}
            '\n' => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            letter => field.push(letter),
        }
    }
    if !field.is_empty() || !record.is_empty() {
        record.push(field);
        records.push(record);
    }
    Some(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_may_have_anything_in_them() {
        let text = "a,b\r\n1,\"x, \"\"y\"\"\nz\"\n,\n\"\",c";
        let expected = [vec!["a", "b"], vec!["1", "x, \"y\"\nz"], vec!["", ""], vec!["", "c"]];
        assert_eq!(records(text).unwrap(), expected);
        assert_eq!(records("\"open"), None);
        assert_eq!(records("").unwrap(), Vec::<Vec<String>>::new());
    }
}
