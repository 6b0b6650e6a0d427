//! A crawl into PostgreSQL, killed at any moment and resumed, makes the catalogue of a crawl that was never killed.

use crate::cluster::database;
use crate::harness::{Run, State, assert_same, assert_sums, but_for_namesakes, generated, side_by_side};
use crate::place::dump;

const TITLES: u64 = 40;

#[derive(Debug)]
enum Moment {
    Point(&'static str, u32),
    Marked(usize),
}

#[test]
fn a_killed_crawl_resumes_to_the_same_catalogue() {
    let Some(whole) = database() else { return };
    let expected = {
        let (sandbox, state) = (generated(TITLES), State::new());
        Run::new(&sandbox, &state, &["--mode", "full"]).env("DATABASE_URL", &whole.url).succeed();
        dump(&whole.url)
    };
    let moments = [
        Moment::Point("catalogue.open.before_commit", 1),
        Moment::Point("catalogue.open.after_commit", 1),
        Moment::Point("catalogue.before_commit", 1),
        Moment::Point("catalogue.before_commit", 30),
        Moment::Point("catalogue.after_commit", 1),
        Moment::Point("catalogue.after_commit", 20),
        Moment::Marked(5),
        Moment::Marked(25),
    ];
    side_by_side(&moments, |moment| {
        let Some(database) = database() else { return };
        let (sandbox, state) = (generated(TITLES), State::new());
        let run = Run::new(&sandbox, &state, &["--mode", "full"]).env("DATABASE_URL", &database.url);
        match *moment {
            Moment::Point(point, hit) => {
                let died = run.crash_at(point, hit).finish();
                assert!(died.aborted(), "{moment:?}: {died:#?}");
            }
            Moment::Marked(titles) => {
                let mut run = run.start();
                run.until("marked titles", || state.ledger().len() >= titles);
                run.kill();
                run.wait();
            }
        }
        let resumed = Run::new(&sandbox, &state, &["--resume"]).env("DATABASE_URL", &database.url).succeed();
        assert_sums(&resumed.summary());
        assert_eq!(state.ledger().len() as u64, TITLES, "{moment:?}: a title is lost");
        let found = dump(&database.url);
        assert_same(&format!("{moment:?}"), &but_for_namesakes(&expected), &but_for_namesakes(&found));
    });
}
