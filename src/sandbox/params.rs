//! Request parameters as both services read them: query string and form body together, lists by comma.

use url::form_urlencoded;

/// Names and values in the order they came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// From a query string and (for POST) a form-encoded body.
    pub(crate) fn parse(query: &str, form: &str) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes()).chain(form_urlencoded::parse(form.as_bytes()));
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// The last value of a name; blank counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// `true` (in any case: Python clients send `True`) or `1`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
    }

    /// Items of a comma-separated value; empty when absent.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        self.get(name)
            .map(|value| value.split(',').map(str::trim).filter(|item| !item.is_empty()).collect())
            .unwrap_or_default()
    }

    /// Everything again as a query string, without the named parameters.
    pub(crate) fn encode_without(&self, names: &[&str]) -> String {
        let mut encoder = form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.0.iter().filter(|(name, _)| !names.contains(&name.as_str())) {
            encoder.append_pair(name, value);
        }
        encoder.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Params;

    #[test]
    fn query_and_form_are_one() {
        let params = Params::parse("token=a%3D&types=anime,anime-serial", "limit=5&with_episodes=true");
        assert_eq!(params.get("token"), Some("a="));
        assert_eq!(params.list("types"), ["anime", "anime-serial"]);
        assert!(params.flag("with_episodes"));
        assert_eq!(params.encode_without(&["token", "types"]), "limit=5&with_episodes=true");
    }
}
