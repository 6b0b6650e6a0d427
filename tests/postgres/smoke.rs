use parser::store::{Location, Server, Store, catalogue};
#[tokio::test]
async fn opens() {
    let Some(db) = crate::cluster::database() else { return };
    let store = Store::open(&Location::Server(Server::new(db.url.clone().into())), 0).await.unwrap();
    println!("{}", store.id());
    assert_eq!(store.read(catalogue::counts).await.unwrap().series, 0);
    store.ping().await.unwrap();
    let again = Store::open(&Location::Server(Server::new(db.url.clone().into())), 0).await.unwrap();
    assert_eq!(again.id(), store.id());
}
