//! Files of catalogue records: one import for all of them.

use super::Context;
use super::bars::Bar;
use super::rejects::Rejects;
use super::report::Line;
use crate::backend::imports::ImportsError;
use crate::bulk::catalogue::{self, Options};
use crate::bulk::inputs::Source;
use crate::cli::exit::Exit;
use crate::cli::messages;
use crate::error::{Fault as _, chain};
use crate::model::ImportStatus;
use crate::store::StoreError;

/// Imports them; what became of each, and the worst of it.
pub(super) async fn each(context: &Context<'_>, files: &[Source]) -> Result<(Vec<Line>, Exit), StoreError> {
    let (args, long) = (context.args, context.long.clone());
    let options = Options { resume: args.resume, max_errors: args.most_errors(), long };
    let bar = Bar::records("catalogue");
    let progress = |done, total, failed| bar.show(done, Some(total), done, failed);
    let done = catalogue::import(context.imports, files, &options, progress, context.stop.clone()).await;
    bar.finish();
    let (id, summaries) = match done {
        Ok(done) => done,
        Err(error) => return Ok((Vec::new(), complain(context, &error))),
    };
    let (mut lines, mut exit, mut rejects) = (Vec::new(), Exit::Done, Rejects::default());
    for (file, summary) in files.iter().zip(summaries) {
        exit = exit.max_of(match summary.status {
            ImportStatus::Completed => Exit::Done,
            status if status.is_final() => Exit::SomeFailed,
            _ => Exit::Interrupted,
        });
        let written = match summary.batch {
            Some(batch) if summary.rows.failed > 0 && !context.args.dry_run => {
                rejects.of_lines(context, batch, file).await
            }
            _ => None,
        };
        lines.push(Line {
            file: file.to_string(),
            kind: "catalogue",
            table: None,
            import: Some(id.to_string()).filter(|_| !context.args.dry_run),
            rejects: written,
            end: Ok((summary.status, summary.reason, summary.rows)),
        });
    }
    Ok((lines, exit))
}

fn complain(context: &Context<'_>, error: &ImportsError) -> Exit {
    let (hint, exit) = match error {
        ImportsError::Backend(backend) => (backend.hint(), Exit::of(backend.party())),
        ImportsError::Refused(_) => (None, Exit::Source),
    };
    messages::error(&context.redactor.redact(&chain(error)), hint.as_deref());
    exit
}
