//! The doors of the live protocol.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use serde_json::{Value, json};

use super::caller::{Caller, tenant_of};
use super::query::Query;
use crate::gateway::App;
use crate::gateway::live::events;
use crate::gateway::live::frame::{PROTOCOL, Position, Wanted};
use crate::gateway::live::socket::{
    Connection, MAX_MESSAGE_BYTES, MAX_WRITE_BUFFER_BYTES, READ_BUFFER_BYTES, WRITE_BUFFER_BYTES,
};
use crate::gateway::live::ticket::TICKET_FOR;
use crate::gateway::problem::Problem;
use crate::gateway::widgets;

/// `GET /live`
pub async fn socket(
    State(app): State<Arc<App>>,
    Caller(identity): Caller,
    uri: Uri,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|_| Problem::bad_request("this path speaks websocket, subprotocol andon.v1"))?;
    let query = Query::read(&uri)?;
    query.only(&["ticket"])?;
    let tenant = tenant_of(&app, &identity, &query)?;
    let counted = app.connections.enter(identity.user_id)?;
    let connection = Connection { app, identity, tenant: tenant.name.clone(), counted };
    let upgrade = upgrade
        .protocols([PROTOCOL])
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES);
    Ok(upgrade.on_upgrade(|socket| connection.serve(socket)))
}

/// `POST /live/ticket`
pub async fn ticket(State(app): State<Arc<App>>, Caller(identity): Caller) -> Result<Json<Value>, Problem> {
    let full = || Problem::too_many("too many tickets wait to be used", TICKET_FOR);
    let ticket = app.tickets.give(&identity).ok_or_else(full)?;
    Ok(Json(json!({"ticket": ticket.text(), "expires_in": TICKET_FOR.as_secs()})))
}

/// `GET /live/events`
pub async fn events(
    State(app): State<Arc<App>>,
    Caller(identity): Caller,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = Query::read(&uri)?;
    let mut known = vec!["widget", "ticket", "epoch", "offset"];
    known.extend(widgets::params::NAMES);
    query.only(&known)?;
    let tenant = tenant_of(&app, &identity, &query)?;
    let widget = query.one("widget")?.ok_or_else(|| Problem::bad_request("widget: is missing"))?;
    let what = Wanted::read(widget, &widgets::params::from_query(&query)?)?;
    // A browser that comes again says where it was.
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(Position::parse);
    let given = match (query.one("epoch")?, query.one("offset")?) {
        (Some(epoch), Some(offset)) => Position::parse(&format!("{epoch}:{offset}")),
        _ => None,
    };
    let counted = app.connections.enter(identity.user_id)?;
    let wanted = events::Wanted { what, tenant };
    events::respond(app, identity, wanted, last.or(given).as_ref(), counted)
}
