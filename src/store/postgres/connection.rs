//! One connection to the server, with the statements that it has prepared.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::{Client, Statement};

use super::Access;
use super::failure::Failure;
use super::target::{SILENCE, Target};

/// Statements kept prepared. There are fewer in the whole program; the limit is for texts that are put together.
const STATEMENTS: usize = 256;

/// An open session of the server. Its other half runs on the runtime that opened it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client: Client,
    driver: JoinHandle<()>,
    statements: RefCell<HashMap<String, Statement>>,
    /// No statement takes longer to answer than this, unless it was told to take its time.
    pub(super) limit: Duration,
}

impl Connection {
    /// Connects, within the limit for that.
    pub(super) async fn open(target: &Target, access: Access) -> Result<Self, Failure> {
        let limit = target.connect_timeout + SILENCE;
        let opening = async {
            let (client, wire) = target.config.connect(target.tls.clone()).await?;
            // Its end is noticed by the next statement.
            let driver = tokio::spawn(async { drop(wire.await) });
            client.batch_execute(&target.session(access)).await?;
            Ok(Self { client, driver, statements: RefCell::default(), limit: target.statement_timeout + SILENCE })
        };
        tokio::time::timeout(limit, opening).await.map_err(|_| Failure::Silent(limit))?
    }

    /// Says goodbye, so that the server need not find out by itself.
    pub(super) async fn close(self) {
        let Self { client, driver, .. } = self;
        drop(client);
        // A server that does not listen any more is left alone.
        let _ = tokio::time::timeout(Duration::from_secs(1), driver).await;
    }

    /// The prepared statement, made once for each text.
    pub(super) async fn statement(&self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        let known = self.statements.borrow().get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.client.prepare(&numbered(sql)).await?;
        let mut statements = self.statements.borrow_mut();
        if statements.len() >= STATEMENTS {
            statements.clear();
        }
        statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

/// `?1` as `$1`, outside of quoted text. Other question marks are operators.
fn numbered(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len());
    let mut quote = None;
    let mut chars = sql.chars().peekable();
    while let Some(c) = chars.next() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            None if c == '?' && chars.peek().is_some_and(char::is_ascii_digit) => {
                text.push('$');
                continue;
            }
            _ => {}
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn parameters_are_numbered_and_quotes_left_alone() {
        assert_eq!(numbered("a = ?1 AND b = ?12"), "a = $1 AND b = $12");
        assert_eq!(numbered("a = 'it''s ?1' AND \"?2\" = ?3"), "a = 'it''s ?1' AND \"?2\" = $3");
        assert_eq!(numbered("a ? 'x' AND a ?| b"), "a ? 'x' AND a ?| b");
    }
}
