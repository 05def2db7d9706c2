//! Query parameters: every one is known, well-formed and given once, or the
//! request is refused with what to change.

use std::ops::RangeInclusive;

use isems_core::{Field, Timestamp};
use percent_encoding::percent_decode_str;

use super::{problem::Fault, time_text};

/// The parameters of a request, decoded as forms are: `+` is a blank.
#[derive(Debug)]
pub(super) struct Parameters(Vec<(&'static str, String)>);

impl Parameters {
    /// Those of a query of which only `known` ones may be there.
    pub(super) fn of(query: Option<&str>, known: &'static [&'static str]) -> Result<Self, Fault> {
        let mut parameters: Vec<(&'static str, String)> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name).unwrap_or_else(|| name.to_owned());
            let Some(name) = known.iter().find(|known| **known == name) else {
                let there = match known {
                    [] => "there are none here".to_owned(),
                    known => format!("here is {}", known.join(", ")),
                };
                return Err(refused(&name, &format!("is not known; {there}")));
            };
            if parameters.iter().any(|(given, _)| given == name) {
                return Err(refused(name, "is given twice"));
            }
            let value = decoded(value).ok_or_else(|| refused(name, "is not UTF-8"))?;
            parameters.push((name, value));
        }
        Ok(Self(parameters))
    }

    /// The text of a parameter, if it is given.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str())
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(refused(name, "must be true or false")),
        }
    }

    /// A whole number within `range`.
    pub(super) fn integer(
        &self,
        name: &str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, Fault> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number = time_text::whole(text).filter(|number| range.contains(number));
        number.map(Some).ok_or_else(|| {
            let (least, most) = range.into_inner();
            refused(name, &format!("must be a whole number from {least} to {most}"))
        })
    }

    /// A moment, in RFC 3339 or as Unix seconds.
    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>, Fault> {
        let Some(text) = self.get(name) else { return Ok(None) };
        time_text::moment(text).map(Some).ok_or_else(|| {
            let such = "must be a time such as 2025-06-01T11:09:05Z or 1748776145 (Unix seconds)";
            refused(name, such)
        })
    }

    /// Names of fields, separated by commas; each once, in the order of
    /// [`Field::ALL`].
    pub(super) fn fields(&self, name: &str) -> Result<Option<Vec<Field>>, Fault> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let mut fields = Vec::new();
        for word in text.split(',') {
            let field = Field::from_name(word).ok_or_else(|| {
                let all = Field::ALL.map(Field::name).join(", ");
                refused(name, &format!("must be some of {all}, separated by commas"))
            })?;
            fields.push(field);
        }
        fields.sort_unstable();
        fields.dedup();
        Ok(Some(fields))
    }
}

fn refused(name: &str, what: &str) -> Fault {
    Fault::bad_request(format!("The query parameter `{name}` {what}"))
}

fn decoded(text: &str) -> Option<String> {
    let blanks = text.replace('+', " ");
    percent_decode_str(&blanks).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["flag", "number", "time", "fields", "text"];

    fn given(query: &str) -> Parameters {
        Parameters::of(Some(query), KNOWN).unwrap()
    }

    #[test]
    fn each_parameter_is_known_and_given_once() {
        for query in ["x=1", "flag=true&flag=true", "Flag=true", "flag=true&x", "text=%FF", "=1"] {
            assert!(Parameters::of(Some(query), KNOWN).is_err(), "{query}");
        }
        for query in ["", "&", "flag=true&&number=1", "fl%61g=true"] {
            assert!(Parameters::of(Some(query), KNOWN).is_ok(), "{query}");
        }
    }

    #[test]
    fn texts_are_decoded_as_forms_are() {
        for (sent, text) in [
            ("text=a+b", "a b"),
            ("text=a%20b", "a b"),
            ("text=a%2Bb", "a+b"),
            ("text=a=b", "a=b"),
            ("text=Stra%C3%9Fe", "Straße"),
            ("text=%zz%", "%zz%"),
            ("text=", ""),
            ("text", ""),
        ] {
            assert_eq!(given(sent).get("text"), Some(text), "{sent}");
        }
    }

    #[test]
    fn flags_are_true_or_false() {
        assert_eq!(given("").boolean("flag").unwrap(), None);
        assert_eq!(given("flag=true").boolean("flag").unwrap(), Some(true));
        assert_eq!(given("flag=false").boolean("flag").unwrap(), Some(false));
        for query in ["flag", "flag=", "flag=TRUE", "flag=1", "flag=true+"] {
            assert!(given(query).boolean("flag").is_err(), "{query}");
        }
    }

    #[test]
    fn numbers_are_whole_and_within_their_range() {
        for (sent, number) in [("number=1", 1), ("number=1000", 1_000), ("number=007", 7)] {
            assert_eq!(given(sent).integer("number", 1..=1_000).unwrap(), Some(number), "{sent}");
        }
        for text in ["", "0", "1001", "-1", "%2B1", "1.5", "1e2", "x", " 1", "99999999999999999999"]
        {
            let query = format!("number={text}");
            assert!(given(&query).integer("number", 1..=1_000).is_err(), "{text}");
        }
    }

    #[test]
    fn fields_are_named_once_each_in_their_own_order() {
        let fields = given("fields=batteryVoltage,mppVoltage,batteryVoltage").fields("fields");
        assert_eq!(fields.unwrap(), Some(vec![Field::MppVoltage, Field::BatteryVoltage]));
        for text in ["", ",", "batteryVoltage,", "battery", "nodeId", "batteryVoltage;mppVoltage"] {
            assert!(given(&format!("fields={text}")).fields("fields").is_err(), "{text}");
        }
    }
}
