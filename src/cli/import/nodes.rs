//! Files of nodes: one after the other, each with several batches on their way.

use std::sync::Arc;

use super::Context;
use super::bars::{All, Bar, OneOf};
use super::rejects::Rejects;
use super::report::Line;
use crate::backend::imports::{BulkBegin, BulkFile};
use crate::bulk::BulkError;
use crate::bulk::inputs::Source;
use crate::bulk::nodes::{self, Options};
use crate::bulk::tables::Meter;
use crate::cli::exit::Exit;
use crate::cli::messages;
use crate::error::{Fault as _, chain};
use crate::model::{ImportFormat, ImportStatus, NodesOptions};
use crate::store::StoreError;
use crate::store::objects::ObjectUrl;

/// Imports the files; what became of each, and the worst of it.
pub(super) async fn each(context: &Context<'_>, urls: &[ObjectUrl]) -> Result<(Vec<Line>, Exit), StoreError> {
    let (args, imports) = (context.args, context.imports);
    let (mut exit, mut lines, mut rejected, mut rejects) = (Exit::Done, Vec::new(), false, Rejects::default());
    let domain = args.domain.clone().unwrap_or_default();
    let nodes = NodesOptions { domain, group: args.group.clone(), refs: args.refs, known_groups: false };
    let (import, files) = if args.dry_run { (None, Vec::new()) } else { begin(context, &nodes, urls).await? };
    let sources: Vec<_> = urls.iter().cloned().map(Source::Object).collect();
    let meters: Vec<_> = urls.iter().map(|_| Arc::new(Meter::default())).collect();
    let all = All::new(sources.iter(), meters.clone());
    for (index, url) in urls.iter().enumerate() {
        let options = Options {
            url: Some(url.clone()),
            nodes: nodes.clone(),
            batch: args.batch_size.map_or_else(|| imports.piece_rows(), u64::from),
            in_flight: args.workers.map_or(context.settings.imports.bulk.in_flight, usize::from),
            max_errors: args.most_errors(),
            max_row: context.settings.objects.max_line,
        };
        let bar = Bar::new(url.name());
        let watched = OneOf { bar: &bar, meter: &meters[index], all: &all };
        let file = files.get(index);
        let imported = match file {
            Some(file) => nodes::import(imports, context.sources, file, &options, &watched, context.stop.clone()).await,
            None => nodes::check(imports, context.sources, &options, &watched, context.stop.clone()).await,
        };
        bar.finish();
        let written = match (&imported, file) {
            (Ok(summary), Some(file)) => rejects.of_rows(context, (file.batch, url), summary).await,
            _ => None,
        };
        let mut line = Line {
            file: url.to_string(),
            kind: "nodes",
            table: None,
            import: import.clone(),
            rejects: written,
            end: Err(String::new()),
        };
        match imported {
            Ok(summary) => {
                rejected |= !matches!(summary.status, ImportStatus::Completed | ImportStatus::Started);
                let unfinished = !summary.status.is_final();
                line.end = Ok((summary.status, summary.reason, summary.rows));
                lines.push(line);
                if unfinished {
                    exit = Exit::Interrupted;
                    break;
                }
            }
            Err(error) => {
                exit = Exit::of(error.party());
                let text = context.redactor.redact(&chain(&error)).into_owned();
                messages::error(&text, error.hint().as_deref());
                line.end = Err(text);
                lines.push(line);
                // The next file would meet the same store.
                if matches!(error, BulkError::Store(_)) {
                    break;
                }
            }
        }
    }
    all.finish();
    Ok((lines, if exit == Exit::Done && rejected { Exit::SomeFailed } else { exit }))
}

/// Begins the import, or finds the one to go on with: its id, and its files as they were asked for.
async fn begin(
    context: &Context<'_>,
    nodes: &NodesOptions,
    urls: &[ObjectUrl],
) -> Result<(Option<String>, Vec<BulkFile>), StoreError> {
    let new = BulkBegin {
        format: ImportFormat::Nodes,
        options: serde_json::to_string(nodes).ok(),
        source: nodes.domain.clone(),
        processor: format!("parser/{}", env!("CARGO_PKG_VERSION")),
        files: urls.iter().map(address).collect(),
        piece_rows: context.args.batch_size.map_or_else(|| context.imports.piece_rows(), u64::from),
        resume: context.args.resume,
    };
    let begun = context.begin(new).await?;
    Ok((Some(begun.import.to_string()), begun.files))
}

/// Where a file is, whichever folder the command is run in.
fn address(url: &ObjectUrl) -> String {
    Source::Object(url.clone()).address()
}
