//! The paths under `/api/v1`, each with what it takes: one table, of which the router, the checks, the tests of every
//! role against every path, and the comparison with the OpenAPI document are made.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::handler::Handler;
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use serde_json::json;

use super::caller::{credential, is_foreign};
use super::query::Query;
use super::{
    aggregate, audit, auth, dashboard, detections, downtime, keys, live, metrics, openapi, own, pieces, production,
    screens, stop_summary, system, users,
};
use crate::gateway::App;
use crate::gateway::live::asyncapi;
use crate::gateway::problem::Problem;
use crate::gateway::questions::Question;
use crate::gateway::rights::{Identity, Right};

/// What a path asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Open,
    /// To be known, as a user or by an API key.
    Known,
    /// A right.
    Needs(Right),
    /// A right, and no page of another site; or a ticket instead of both.
    Live(Right),
}

/// A method of a path.
pub struct Route {
    pub method: Method,
    /// Below `/api/v1`.
    pub path: &'static str,
    pub access: Access,
    handler: MethodRouter<Arc<App>>,
}

use Access::{Known, Live, Needs, Open};
use Right::{Audit, Classify, Keys, Look, Own, Screens, Users};

/// Every path and method with what it asks. There is no other way into the router.
#[rustfmt::skip]
pub fn api() -> Vec<Route> {
    vec![
        post("/auth/login", Open, auth::login),
        post("/auth/refresh", Open, auth::refresh),
        post("/auth/logout", Needs(Own), auth::logout),
        get("/auth/me", Known, auth::me),
        post("/auth/change-password", Needs(Own), own::change_password),
        get("/auth/sessions", Needs(Own), own::sessions),
        delete("/auth/sessions/{session_id}", Needs(Own), own::end_session),
        get("/users/me", Needs(Own), own::profile),
        post("/users/me/change-password", Needs(Own), own::change_password),
        get("/users", Needs(Users), users::list),
        post("/users", Needs(Users), users::create),
        get("/users/{user_id}", Needs(Users), users::one),
        put("/users/{user_id}", Needs(Users), users::change),
        delete("/users/{user_id}", Needs(Users), users::deactivate),
        get("/users/{user_id}/sessions", Needs(Users), users::sessions),
        delete("/users/{user_id}/sessions", Needs(Users), users::end_sessions),
        get("/api-keys", Needs(Keys), keys::list),
        post("/api-keys", Needs(Keys), keys::create),
        delete("/api-keys/{key_id}", Needs(Keys), keys::revoke),
        get("/audit", Needs(Audit), audit::list),
        post("/wall/pair", Open, screens::begin),
        post("/wall/pair/claim", Open, screens::claim),
        get("/wall/screens", Needs(Screens), screens::list),
        post("/wall/screens", Needs(Screens), screens::pair),
        delete("/wall/screens/{screen_id}", Needs(Screens), screens::revoke),
        get("/live", Live(Look), live::socket),
        get("/live/events", Live(Look), live::events),
        post("/live/ticket", Needs(Look), live::ticket),
        get("/metrics/oee", Needs(Look), metrics::oee),
        get("/metrics/availability", Needs(Look), metrics::availability),
        get("/metrics/performance", Needs(Look), metrics::performance),
        get("/metrics/quality", Needs(Look), metrics::quality),
        get("/metrics/comparison", Needs(Look), metrics::comparison),
        get("/downtime", Needs(Look), downtime::list),
        get("/downtime/summary", Needs(Look), stop_summary::summary),
        get("/downtime/{downtime_id}", Needs(Look), downtime::one),
        put("/downtime/{downtime_id}", Needs(Classify), downtime::classify),
        get("/commands/{command_id}", Needs(Look), downtime::command),
        get("/dashboard/widgets", Needs(Look), dashboard::catalogue),
        post("/dashboard/widgets", Needs(Look), dashboard::page),
        get("/dashboard/widgets/{widget}", Needs(Look), dashboard::one),
        get("/dashboard/filters", Needs(Look), dashboard::filters),
        get("/dashboard/templates", Needs(Look), dashboard::templates),
        get("/dashboard/layout", Needs(Own), dashboard::layout),
        post("/dashboard/layout", Needs(Own), dashboard::save_layout),
        put("/dashboard/layout", Needs(Own), dashboard::change_layout),
        delete("/dashboard/layout", Needs(Own), dashboard::forget_layout),
        get("/data/aggregate", Needs(Look), aggregate::aggregate),
        get("/data/detections", Needs(Look), detections::list),
        get("/data/production/summary", Needs(Look), pieces::summary),
        get("/data/production/by-product", Needs(Look), pieces::by_product),
        get("/data/production/by-area", Needs(Look), pieces::by_area),
        get("/production/lines", Needs(Look), production::list_lines),
        get("/production/lines/{line}", Needs(Look), production::one_line),
        get("/production/lines/{line}/areas", Needs(Look), production::areas_of_line),
        get("/production/areas", Needs(Look), production::areas),
        get("/production/products", Needs(Look), production::products),
        get("/production/products/{product_id}", Needs(Look), production::one_product),
        get("/production/shifts", Needs(Look), production::shifts),
        get("/production/reasons", Needs(Look), production::reasons),
        get("/system/health", Known, system::health),
        get("/system/version", Known, system::version),
        get("/openapi.json", Open, openapi::document),
        get("/asyncapi.json", Open, asyncapi::document),
    ]
}

fn route<H: Handler<T, Arc<App>>, T: 'static>(
    method: Method,
    filter: MethodFilter,
    path: &'static str,
    access: Access,
    handler: H,
) -> Route {
    Route { method, path, access, handler: on(filter, handler) }
}

fn get<H: Handler<T, Arc<App>>, T: 'static>(path: &'static str, access: Access, handler: H) -> Route {
    route(Method::GET, MethodFilter::GET, path, access, handler)
}

fn post<H: Handler<T, Arc<App>>, T: 'static>(path: &'static str, access: Access, handler: H) -> Route {
    route(Method::POST, MethodFilter::POST, path, access, handler)
}

fn put<H: Handler<T, Arc<App>>, T: 'static>(path: &'static str, access: Access, handler: H) -> Route {
    route(Method::PUT, MethodFilter::PUT, path, access, handler)
}

fn delete<H: Handler<T, Arc<App>>, T: 'static>(path: &'static str, access: Access, handler: H) -> Route {
    route(Method::DELETE, MethodFilter::DELETE, path, access, handler)
}

// === impl Route ===

impl Route {
    /// The handler behind its check.
    pub(super) fn guarded(self, app: &Arc<App>) -> MethodRouter<Arc<App>> {
        self.handler.route_layer(from_fn_with_state((app.clone(), self.access), admit))
    }
}

/// Lets in who may, with their identity, or answers why not.
async fn admit(State((app, access)): State<(Arc<App>, Access)>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let mut question = None;
    match caller(&app, access, &parts).await {
        Ok(None) => {}
        Ok(Some(identity)) => {
            question = Question::of(&identity, &parts.uri);
            parts.extensions.insert(identity);
        }
        Err(problem) => return problem.into_response(),
    }
    let response = next.run(Request::from_parts(parts, body)).await;
    if let Some(question) = question.filter(|_| response.status().is_success()) {
        app.questions.note(question);
    }
    response
}

async fn caller(app: &App, access: Access, parts: &Parts) -> Result<Option<Identity>, Problem> {
    let mut identity = match access {
        Open => return Ok(None),
        Live(_) => visitor(app, parts).await?,
        Known | Needs(_) => known(app, parts).await?,
    };
    let limit = if matches!(access, Live(_)) { &app.opened } else { &app.requests };
    let too_many = |wait| Problem::too_many("too many requests: wait a little, or watch live instead", wait);
    limit.take(identity.user_id).map_err(too_many)?;
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    identity.address = peer.map(|ConnectInfo(address)| address.ip());
    if let Needs(right) | Live(right) = access
        && let Err(problem) = identity.needs(right)
    {
        let details = json!({"method": parts.method.as_str(), "path": parts.uri.path(), "right": right});
        app.audit_denied(&identity, "request", &details).await;
        return Err(problem);
    }
    Ok(Some(identity))
}

async fn known(app: &App, parts: &Parts) -> Result<Identity, Problem> {
    let credential = credential(&parts.headers).ok_or_else(Problem::unauthorised)?;
    app.accounts.identify(app.store().as_ref(), &credential).await
}

/// Who opens a live connection: by ticket, or as in any request, but not from a page of another site.
async fn visitor(app: &App, parts: &Parts) -> Result<Identity, Problem> {
    if let Some(ticket) = Query::read(&parts.uri)?.one("ticket")? {
        return app.tickets.take(ticket).ok_or_else(Problem::unauthorised);
    }
    if is_foreign(&parts.headers, &parts.uri, &app.origins) {
        return Err(Problem::forbidden("this origin may not connect: add it to gateway.origins, or use a ticket"));
    }
    known(app, parts).await
}
