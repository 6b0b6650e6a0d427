//! Settings of traces, under the names that every OpenTelemetry program knows.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::Layers;
use super::reader::Reader;

/// Where traces go.
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    /// The collector's address for traces; `None` = no traces.
    pub traces: Option<Url>,
    /// Headers of every request to it.
    pub headers: Vec<(String, SecretString)>,
    /// One request to it.
    pub timeout: Duration,
    /// `service.name`.
    pub service: String,
    /// What else is said of this process.
    pub attributes: Vec<(String, String)>,
    /// The share of traces that are kept, 0 to 1. A caller's own choice wins.
    pub ratio: f64,
}

impl TelemetrySettings {
    /// Reads them alone, before a command reads (and judges) all settings. `None`: off, or something is wrong.
    pub fn early(layers: &Layers) -> Option<Self> {
        let mut reader = Reader::new(layers);
        let settings = read(&mut reader);
        (reader.faults.is_empty() && settings.traces.is_some()).then_some(settings)
    }

    /// Secret texts, for the redaction of logs.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        self.headers.iter().map(|(_, value)| value)
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> TelemetrySettings {
    let base = reader.url("OTEL_EXPORTER_OTLP_ENDPOINT").map(|mut url| {
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    });
    // The address of one signal is taken as it is.
    let traces = reader.url("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or(base);
    let text = reader.text("OTEL_TRACES_SAMPLER_ARG").unwrap_or_default();
    let ratio = text.parse::<f64>().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).unwrap_or_else(|| {
        reader.fault("OTEL_TRACES_SAMPLER_ARG", format!("`{text}` is not a share from 0 to 1"), None);
        1.0
    });
    TelemetrySettings {
        traces,
        headers: headers(reader),
        timeout: Duration::from_millis(reader.number("OTEL_EXPORTER_OTLP_TIMEOUT", 1..=60_000).into()),
        service: reader.text("OTEL_SERVICE_NAME").unwrap_or_default(),
        attributes: attributes(reader),
        ratio,
    }
}

/// `name=value,…`, values percent-encoded.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let decoded = |text: &str| {
        // A plus is a plus here.
        let text = text.trim().replace('+', "%2B");
        url::form_urlencoded::parse(format!("v={text}").as_bytes()).next().map(|(_, value)| value.into_owned())
    };
    text.split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let name = name.trim();
            (!name.is_empty() && !value.contains('&')).then_some(())?;
            Some((name.to_owned(), decoded(value)?))
        })
        .collect()
}

fn headers(reader: &mut Reader<'_>) -> Vec<(String, SecretString)> {
    const NAME: &str = "OTEL_EXPORTER_OTLP_HEADERS";
    let text = reader.text(NAME).unwrap_or_default();
    let valid = |pairs: &Vec<(String, String)>| {
        pairs.iter().all(|(name, value)| {
            http::HeaderName::from_bytes(name.as_bytes()).is_ok() && http::HeaderValue::from_str(value).is_ok()
        })
    };
    let Some(pairs) = pairs(&text).filter(valid) else {
        // Not repeated: it holds a secret.
        reader.fault(NAME, "is not a list of headers", Some("`name=value,name=value`, values percent-encoded"));
        return Vec::new();
    };
    pairs.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect()
}

fn attributes(reader: &mut Reader<'_>) -> Vec<(String, String)> {
    const NAME: &str = "OTEL_RESOURCE_ATTRIBUTES";
    let text = reader.text(NAME).unwrap_or_default();
    pairs(&text).unwrap_or_else(|| {
        reader.fault(NAME, "is not a list of attributes", Some("`name=value,name=value`, values percent-encoded"));
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::super::{Layers, Needs, Settings};
    use super::TelemetrySettings;

    #[test]
    fn traces_are_off_until_somebody_says_where_they_go() {
        let none: [(&str, &str); 0] = [];
        assert!(TelemetrySettings::early(&Layers::from_environment(none)).is_none());
        let at = |name, value| {
            let layers = Layers::from_environment([(name, value)]);
            TelemetrySettings::early(&layers).and_then(|settings| settings.traces).map(String::from)
        };
        let base = "OTEL_EXPORTER_OTLP_ENDPOINT";
        assert_eq!(at(base, "http://collector:4318").as_deref(), Some("http://collector:4318/v1/traces"));
        assert_eq!(at(base, "https://c.example/otlp/").as_deref(), Some("https://c.example/otlp/v1/traces"));
        let own = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        assert_eq!(at(own, "http://collector:4318/mine").as_deref(), Some("http://collector:4318/mine"));
    }

    #[test]
    fn headers_are_secrets_and_faults_do_not_repeat_them() {
        let layers = Layers::from_environment([
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20S3+CRET, x-scope = 7"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test,host=a%2Cb"),
        ]);
        let settings = Settings::load(&layers, Needs::default()).unwrap();
        let sent: Vec<_> =
            settings.telemetry.headers.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        assert_eq!(sent, [("authorization", "Bearer S3+CRET"), ("x-scope", "7")]);
        assert_eq!(settings.telemetry.attributes[1], ("host".to_owned(), "a,b".to_owned()));
        assert!(!format!("{settings:?}").contains("S3+CRET"));
        assert!(settings.secrets().iter().any(|secret| secret.expose_secret() == "Bearer S3+CRET"));
        for wrong in ["S3CRET", "na me=S3CRET", "name=S3%0ACRET", "=S3CRET"] {
            let layers = Layers::from_environment([("OTEL_EXPORTER_OTLP_HEADERS", wrong)]);
            let error = Settings::load(&layers, Needs::default()).unwrap_err().to_string();
            assert!(error.contains("OTEL_EXPORTER_OTLP_HEADERS") && !error.contains("CRET"), "{error}");
        }
    }
}
