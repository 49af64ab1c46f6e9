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
    aggregate, audit, auth, cameras, dashboard, detections, downtime, edit, export, incidents, keys, live, metrics,
    monitor, openapi, own, pieces, preview, production, recompute, screens, settings, stop_edit, stop_summary, system,
    templates, tenants, users,
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
    /// A right, and all lines: it is about what they have in common.
    Whole(Right),
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

use Access::{Known, Live, Needs, Open, Whole};
use Right::{Audit, Classify, Configure, Keys, Look, Own, Screens, Tenants, Users};

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
        get("/tenants/current", Needs(Look), tenants::current),
        get("/tenants", Needs(Tenants), tenants::list),
        post("/tenants", Needs(Tenants), tenants::create),
        get("/tenants/{tenant_id}", Needs(Tenants), tenants::one),
        put("/tenants/{tenant_id}", Needs(Tenants), tenants::change),
        post("/tenants/{tenant_id}/activate", Needs(Tenants), tenants::activate),
        post("/tenants/{tenant_id}/deactivate", Needs(Tenants), tenants::deactivate),
        get("/live", Live(Look), live::socket),
        get("/live/events", Live(Look), live::events),
        post("/live/ticket", Needs(Look), live::ticket),
        get("/metrics/oee", Needs(Look), metrics::oee),
        get("/metrics/availability", Needs(Look), metrics::availability),
        get("/metrics/performance", Needs(Look), metrics::performance),
        get("/metrics/quality", Needs(Look), metrics::quality),
        get("/metrics/comparison", Needs(Look), metrics::comparison),
        get("/downtime", Needs(Look), downtime::list),
        post("/downtime/calculate", Needs(Configure), recompute::calculate),
        get("/downtime/summary", Needs(Look), stop_summary::summary),
        get("/downtime/{downtime_id}", Needs(Look), downtime::one),
        put("/downtime/{downtime_id}", Needs(Classify), stop_edit::classify),
        put("/downtime/{downtime_id}/comment", Needs(Classify), stop_edit::comment),
        post("/downtime/{downtime_id}/split", Needs(Classify), stop_edit::split),
        get("/commands/{command_id}", Needs(Look), stop_edit::command),
        get("/failures", Needs(Look), incidents::failures),
        post("/failures", Whole(Configure), incidents::add_failure),
        get("/failures/{failure_id}", Needs(Look), incidents::failure),
        put("/failures/{failure_id}", Whole(Configure), incidents::change_failure),
        delete("/failures/{failure_id}", Whole(Configure), incidents::remove_failure),
        get("/incidents", Needs(Look), incidents::incidents),
        post("/incidents", Needs(Classify), incidents::add_incident),
        get("/incidents/{incident_id}", Needs(Look), incidents::incident),
        put("/incidents/{incident_id}", Needs(Classify), incidents::change_incident),
        get("/cameras/events", Needs(Look), cameras::events),
        post("/cameras/events", Needs(Classify), cameras::note),
        get("/dashboard/widgets", Needs(Look), dashboard::catalogue),
        post("/dashboard/widgets", Needs(Look), dashboard::page),
        get("/dashboard/widgets/{widget}", Needs(Look), dashboard::one),
        get("/dashboard/filters", Needs(Look), dashboard::filters),
        get("/dashboard/templates", Needs(Look), templates::list),
        get("/dashboard/templates/{role}", Needs(Look), templates::one),
        put("/dashboard/templates/{role}", Whole(Configure), templates::replace),
        delete("/dashboard/templates/{role}", Whole(Configure), templates::remove),
        get("/dashboard/layout", Needs(Own), dashboard::layout),
        post("/dashboard/layout", Needs(Own), dashboard::save_layout),
        put("/dashboard/layout", Needs(Own), dashboard::change_layout),
        delete("/dashboard/layout", Needs(Own), dashboard::forget_layout),
        get("/data/aggregate", Needs(Look), aggregate::aggregate),
        get("/data/detections", Needs(Look), detections::list),
        post("/data/detections/aggregate", Needs(Look), aggregate::aggregate_by_body),
        get("/export/detections", Needs(Look), export::detections),
        get("/export/downtime", Needs(Look), export::downtime),
        get("/export/figures", Needs(Look), export::figures),
        get("/data/production/summary", Needs(Look), pieces::summary),
        get("/data/production/by-product", Needs(Look), pieces::by_product),
        get("/data/production/by-area", Needs(Look), pieces::by_area),
        get("/production/lines", Needs(Look), production::list_lines),
        get("/production/lines/{line}", Needs(Look), production::one_line),
        get("/production/lines/{line}/areas", Needs(Look), production::areas_of_line),
        get("/production/lines/{line}/cameras", Needs(Look), cameras::of_line),
        get("/production/areas", Needs(Look), production::areas),
        get("/production/products", Needs(Look), production::products),
        get("/production/products/{product_id}", Needs(Look), edit::product),
        get("/production/shifts", Needs(Look), production::shifts),
        get("/production/shifts/{shift_name}", Needs(Look), edit::shift),
        get("/production/reasons", Needs(Look), production::reasons),
        get("/production/reasons/{reason_code}", Needs(Look), edit::reason),
        get("/production/lines/{line}/areas/{area_id}", Needs(Look), edit::area),
        get("/production/calendar", Needs(Look), edit::calendar),
        get("/production/loss-policy", Needs(Look), edit::loss_policy),
        get("/production/config", Whole(Configure), edit::config),
        get("/production/versions", Whole(Configure), edit::versions),
        post("/production/previews", Needs(Configure), preview::begin),
        get("/production/previews/{preview_id}", Needs(Configure), preview::one),
        delete("/production/previews/{preview_id}", Needs(Configure), preview::cancel),
        post("/production/lines", Whole(Configure), edit::create_line),
        put("/production/lines/{line}", Needs(Configure), edit::replace_line),
        delete("/production/lines/{line}", Needs(Configure), edit::remove_line),
        post("/production/lines/{line}/areas", Needs(Configure), edit::create_area),
        put("/production/lines/{line}/areas/{area_id}", Needs(Configure), edit::replace_area),
        delete("/production/lines/{line}/areas/{area_id}", Needs(Configure), edit::remove_area),
        post("/production/products", Whole(Configure), edit::create_product),
        put("/production/products/{product_id}", Whole(Configure), edit::replace_product),
        delete("/production/products/{product_id}", Whole(Configure), edit::remove_product),
        post("/production/reasons", Whole(Configure), edit::create_reason),
        put("/production/reasons/{reason_code}", Whole(Configure), edit::replace_reason),
        delete("/production/reasons/{reason_code}", Whole(Configure), edit::remove_reason),
        post("/production/shifts", Whole(Configure), edit::create_shift),
        put("/production/shifts/{shift_name}", Whole(Configure), edit::replace_shift),
        delete("/production/shifts/{shift_name}", Whole(Configure), edit::remove_shift),
        put("/production/calendar", Whole(Configure), edit::replace_calendar),
        put("/production/loss-policy", Whole(Configure), edit::replace_loss_policy),
        put("/production/config", Whole(Configure), edit::replace_config),
        get("/system/config", Needs(Tenants), settings::list),
        get("/system/config/{key}", Needs(Tenants), settings::one),
        put("/system/config/{key}", Needs(Tenants), settings::change),
        get("/system/monitor", Whole(Audit), monitor::list),
        post("/system/monitor", Needs(Classify), monitor::note),
        get("/system/health", Known, system::health),
        get("/system/stats", Needs(Look), system::stats),
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
            question = Question::of(&identity, &parts.uri).filter(|_| access == Needs(Look));
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
        Known | Needs(_) | Whole(_) => known(app, parts).await?,
    };
    let limit = if matches!(access, Live(_)) { &app.opened } else { &app.requests };
    let too_many = |wait| Problem::too_many("too many requests: wait a little, or watch live instead", wait);
    limit.take(identity.user_id).map_err(too_many)?;
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    identity.address = peer.map(|ConnectInfo(address)| address.ip());
    let allowed = match access {
        Needs(right) | Live(right) => Some((right, identity.needs(right))),
        Whole(right) => Some((right, identity.needs(right).and_then(|()| identity.needs_all_lines()))),
        Open | Known => None,
    };
    if let Some((right, Err(problem))) = allowed {
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
