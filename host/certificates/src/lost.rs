//! Finds an order that was made while nobody heard the answer.
//!
//! A CA may list an account's orders (RFC 8555 section 7.1.2.1), as Pebble does.
//! Let's Encrypt does not, and gives the same pending order to who asks for it again.
//! Between the two, a kill or a broken connection leads to no second order.
//!
//! The library reads orders only, but signs a request for any URL; what it does not
//! understand of the answer is taken from what was [`crate::http::Seen`].

use crate::ca::Ca;
use crate::http::call;
use crate::{Error, Names};
use instant_acme::Account;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;

/// Pages of the list that are read at most.
const PAGES: usize = 100;

/// Orders that are looked at at most, the last of the list first.
const ORDERS: usize = 50;

#[derive(Deserialize)]
struct AccountObject {
    orders: Option<String>,
}

#[derive(Deserialize)]
struct OrderList {
    orders: Vec<String>,
}

#[derive(Deserialize)]
struct OrderObject {
    status: String,
    identifiers: Vec<IdentifierObject>,
}

#[derive(Deserialize)]
struct IdentifierObject {
    value: String,
}

/// The URL of an order for exactly these names that waits for its names to be proven or
/// for its key. One that has been given a key is not ours to take.
pub(crate) async fn find(
    ca: &Ca,
    account: &Account,
    names: &Names,
) -> Result<Option<String>, Error> {
    let own = read::<AccountObject>(ca, account, account.id()).await?;
    let mut page = own.and_then(|(own, _)| own.orders);
    let mut orders = Vec::new();
    for _ in 0..PAGES {
        let Some(url) = page.take() else { break };
        if let Some((list, next)) = read::<OrderList>(ca, account, &url).await? {
            orders.extend(list.orders);
            page = next;
        }
    }
    let wanted: BTreeSet<_> = names.iter().collect();
    for url in orders.into_iter().rev().take(ORDERS) {
        let Some((order, _)) = read::<OrderObject>(ca, account, &url).await? else {
            continue;
        };
        let found: BTreeSet<_> = order
            .identifiers
            .iter()
            .map(|identifier| identifier.value.as_str())
            .collect();
        if found == wanted && matches!(order.status.as_str(), "pending" | "ready") {
            return Ok(Some(url));
        }
    }
    Ok(None)
}

/// What is at a URL of the CA, with the next page; nothing if the CA does not want to
/// say or says something else.
async fn read<T: DeserializeOwned>(
    ca: &Ca,
    account: &Account,
    url: &str,
) -> Result<Option<(T, Option<String>)>, Error> {
    let (result, seen) = call!(async { account.order(url.to_owned()).await.map(drop) });
    if seen.status == Some(200) {
        let understood = serde_json::from_slice(&seen.body).ok();
        return Ok(understood.map(|object| (object, seen.next)));
    }
    match result.map_err(|source| ca.failed("look for an order", &seen, source)) {
        Err(error) if error.problem() == Some("accountDoesNotExist") || !error.is_refusal() => {
            Err(error)
        }
        _ => Ok(None),
    }
}
