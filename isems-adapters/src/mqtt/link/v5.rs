//! MQTT 5.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use rumqttc::{
    Outgoing,
    v5::{
        AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, StateError,
        mqttbytes::{
            Error, QoS,
            v5::{
                ConnectProperties, ConnectReturnCode, DisconnectReasonCode, Filter, Packet,
                Publish, RetainForwardRule, SubscribeReasonCode,
            },
        },
    },
};
use rustls::ClientConfig;

use super::{
    CONNECT_LIMIT, Granted, Happening, Link, MAX_PACKET, Mark, Message, OUTGOING, REQUESTS,
    Requests, transport,
};
use crate::mqtt::{
    MqttSettings, Protocol, TopicFilter,
    ending::{Ending, EndingKind, Refusal},
    settings::RECEIVE_MAXIMUM,
};

pub(super) struct V5Link {
    events: EventLoop,
    client: AsyncClient,
    keep_alive: Duration,
    connected: bool,
}

impl V5Link {
    pub(super) fn new(
        settings: &MqttSettings,
        tls: Option<&Arc<ClientConfig>>,
        fresh: bool,
    ) -> Self {
        let mut properties = ConnectProperties::new();
        let expiry = settings.session_expiry.as_secs();
        properties.session_expiry_interval = Some(expiry.try_into().unwrap_or(u32::MAX));
        properties.receive_maximum = Some(RECEIVE_MAXIMUM);
        properties.max_packet_size = Some(MAX_PACKET);

        let broker = &settings.broker;
        let mut options = MqttOptions::new(&settings.client_id, broker.host(), broker.port());
        options
            .set_connect_properties(properties)
            .set_clean_start(fresh)
            .set_keep_alive(settings.keep_alive)
            .set_connection_timeout(CONNECT_LIMIT.as_secs())
            .set_manual_acks(true)
            .set_outgoing_inflight_upper_limit(OUTGOING)
            .set_transport(transport(tls));
        if let Some((user, password)) = settings.login() {
            options.set_credentials(user, password);
        }
        let mut network = options.network_options();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);

        let (client, events) = AsyncClient::new(options, REQUESTS);
        Self { events, client, keep_alive: settings.keep_alive, connected: false }
    }
}

#[async_trait]
impl Link for V5Link {
    async fn poll(&mut self) -> Result<Happening, Ending> {
        let event = match self.events.poll().await {
            Ok(event) => event,
            Err(error) => return Err(ending(error, self.connected)),
        };
        Ok(match event {
            Event::Incoming(Packet::ConnAck(answer)) => {
                self.connected = true;
                // The library takes a keep-alive of 0 (never) from the broker
                // for "all the time".
                if self.events.options.keep_alive().is_zero() {
                    self.events.options.set_keep_alive(self.keep_alive);
                }
                Happening::Connected { resumed: answer.session_present }
            }
            Event::Incoming(Packet::SubAck(answer)) => {
                Happening::Subscribed(answer.return_codes.into_iter().map(granted).collect())
            }
            Event::Incoming(Packet::Publish(publish)) => Happening::Message(message(&publish)),
            Event::Outgoing(Outgoing::Disconnect) => Happening::Disconnected,
            _ => Happening::Other,
        })
    }

    fn subscribe(&self, filters: &[TopicFilter]) -> Result<(), Ending> {
        let filters = filters.iter().map(|filter| Filter {
            path: filter.as_str().to_owned(),
            qos: QoS::AtLeastOnce,
            nolocal: false,
            preserve_retain: false,
            // Retained messages are old: their nodes have sent them before.
            retain_forward_rule: RetainForwardRule::Never,
        });
        self.client.try_subscribe_many(filters).map_err(|error| {
            Ending::new(EndingKind::Lost, "the subscription cannot be sent").because(error)
        })
    }

    fn requests(&self) -> Arc<dyn Requests> {
        Arc::new(V5Requests(self.client.clone()))
    }

    fn leftovers(&mut self) -> Vec<Message> {
        let events = self.events.state.events.drain(..);
        events
            .filter_map(|event| match event {
                Event::Incoming(Packet::Publish(publish)) => Some(message(&publish)),
                _ => None,
            })
            .collect()
    }

    fn pulse(&self) -> Duration {
        CONNECT_LIMIT.max(self.events.options.keep_alive())
    }
}

struct V5Requests(AsyncClient);

impl Requests for V5Requests {
    fn acknowledge(&self, mark: Mark) {
        let qos = if mark.exactly_once { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
        let mut publish = Publish::new("", qos, Vec::new(), None);
        publish.pkid = mark.packet_id;
        // Fails only when the link is gone: the message comes again.
        self.0.try_ack(&publish).ok();
    }

    fn disconnect(&self) {
        self.0.try_disconnect().ok();
    }
}

fn message(publish: &Publish) -> Message {
    Message {
        size: publish.size(),
        mark: (publish.qos != QoS::AtMostOnce).then_some(Mark {
            packet_id: publish.pkid,
            exactly_once: publish.qos == QoS::ExactlyOnce,
        }),
        topic: String::from_utf8(publish.topic.to_vec()).ok(),
        payload: publish.payload.to_vec(),
        duplicate: publish.dup,
        retained: publish.retain,
    }
}

fn granted(code: SubscribeReasonCode) -> Granted {
    match code {
        SubscribeReasonCode::Success(qos) => Ok(qos != QoS::AtMostOnce),
        refusal => Err(format!("{refusal:?}")),
    }
}

fn ending(error: ConnectionError, connected: bool) -> Ending {
    match error {
        ConnectionError::Timeout(_) => Ending::no_answer(),
        ConnectionError::Tls(error) => Ending::tls(error),
        ConnectionError::Io(error) if !connected => {
            Ending::new(EndingKind::Unreachable, "no connection to the broker").because(error)
        }
        ConnectionError::Io(error)
        | ConnectionError::MqttState(
            StateError::Io(error) | StateError::Deserialization(Error::Io(error)),
        ) => Ending::io(error),
        ConnectionError::ConnectionRefused(code) => Ending::refused(&refusal(code), Protocol::V5),
        ConnectionError::MqttState(StateError::ConnectionAborted) if !connected => Ending::new(
            EndingKind::Unreachable,
            "the broker closes the connection without an answer; \
             if it speaks only MQTT 3.1.1, set MQTT_PROTOCOL to 3.1.1",
        ),
        ConnectionError::MqttState(StateError::ConnectionAborted) => Ending::closed_by_peer(),
        ConnectionError::MqttState(StateError::AwaitPingResp) => {
            Ending::new(EndingKind::Lost, "the broker does not answer any more")
        }
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
            let kind = match reason_code {
                DisconnectReasonCode::SessionTakenOver => EndingKind::TakenOver,
                _ => EndingKind::Lost,
            };
            Ending::new(kind, format!("the broker ended the connection ({reason_code:?})"))
        }
        ConnectionError::MqttState(StateError::Deserialization(
            Error::PayloadSizeLimitExceeded { pkt_size, .. },
        )) => Ending::too_large(pkt_size),
        other => Ending::new(EndingKind::Lost, "the broker sent what is no MQTT 5").because(other),
    }
}

fn refusal(code: ConnectReturnCode) -> Refusal {
    use ConnectReturnCode as Code;
    match code {
        Code::BadUserNamePassword
        | Code::NotAuthorized
        | Code::Banned
        | Code::BadAuthenticationMethod => Refusal::Login,
        Code::RefusedProtocolVersion | Code::UnsupportedProtocolVersion => Refusal::Protocol,
        Code::BadClientId | Code::ClientIdentifierNotValid => Refusal::ClientId,
        other => Refusal::Other(format!("{other:?}")),
    }
}
