//! Traces, from the settings to the exporter: read before the log starts, sent to the end before the process ends.

use crate::config::{Layers, TelemetrySettings};
use crate::observe::traces::{self, TraceOptions};

/// Says where traces go. A command that reads its settings says what is wrong with them.
pub(super) fn configure(layers: &Layers) {
    let Some(settings) = TelemetrySettings::early(layers) else { return };
    let TelemetrySettings { traces: Some(endpoint), headers, timeout, service, attributes, ratio } = settings else {
        return;
    };
    traces::configure(TraceOptions { endpoint, headers, timeout, service, attributes, ratio });
}

/// Sends what is left.
pub(super) fn finish() {
    traces::finish();
}
