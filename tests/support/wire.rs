//! Kafka's protocol spoken as it stands, for what no client will do.

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

/// A connection to the only broker.
pub struct Wire(TcpStream);

// === impl Wire ===

impl Wire {
    pub fn to(broker: &str) -> Wire {
        Wire(TcpStream::connect(broker).expect("the broker is up"))
    }

    pub fn ask<R: Request>(&self, version: i16, request: &R) -> R::Response {
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_client_id(Some(StrBytes::from_static_str("test")));
        let mut body = BytesMut::new();
        header.encode(&mut body, R::header_version(version)).expect("encoded");
        request.encode(&mut body, version).expect("encoded");
        (&self.0).write_all(&(body.len() as u32).to_be_bytes()).expect("sent");
        (&self.0).write_all(&body).expect("sent");
        let mut length = [0; 4];
        (&self.0).read_exact(&mut length).expect("answered");
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        (&self.0).read_exact(&mut answer).expect("answered");
        let mut answer = Bytes::from(answer);
        ResponseHeader::decode(&mut answer, R::Response::header_version(version)).expect("decoded");
        R::Response::decode(&mut answer, version).expect("decoded")
    }
}
