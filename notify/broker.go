package notify

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net"

	"mudguard/configs"
	"mudguard/enforcer"
)

// broker publishes messages, tells Home Assistant what they are, and whether we are there.
type broker struct {
	cfg     configs.MQTT
	at      Gateway
	id      string
	session *session
}

func newBroker(cfg configs.MQTT, at Gateway) *broker {
	h := fnv.New32a()
	fmt.Fprint(h, at.Name, "\n", cfg.Topic) // two gateways of one name differ in their topics
	return &broker{cfg: cfg, at: at, id: fmt.Sprintf("mudguard_%08x", h.Sum32())}
}

func (b *broker) statusTopic() string { return b.cfg.Topic + "/status" }
func (b *broker) newsTopic() string   { return b.cfg.Topic + "/news" }

func (b *broker) deliver(ctx context.Context, m message) error {
	payload, err := json.Marshal(m)
	if err != nil {
		return refusal{err}
	}
	return b.with(ctx, func(s *session) error { return s.publish(b.newsTopic(), payload, false) })
}

func (b *broker) tick(ctx context.Context) error {
	return b.with(ctx, func(s *session) error { return s.ping() })
}

func (b *broker) close() {
	if b.session != nil {
		b.session.bye(b.statusTopic(), "offline")
	}
}

// with uses the session, made where there is none, and leaves one that fails.
func (b *broker) with(ctx context.Context, use func(*session) error) error {
	if b.session == nil {
		s, err := b.connect(ctx)
		if err != nil {
			return err
		}
		b.session = s
	}
	conn := b.session.conn
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // whoever stops does not wait for a broker that hangs
	err := use(b.session)
	stop()
	if err != nil {
		b.session.conn.Close()
		b.session = nil
	}
	return err
}

func (b *broker) connect(ctx context.Context) (*session, error) {
	host, port, secure := b.cfg.Address()
	var conf *tls.Config
	if secure {
		var err error
		if conf, err = tlsConfig(b.cfg.CAFile); err != nil {
			return nil, err
		}
		conf.ServerName = host
	}
	password, err := secret(b.cfg.PasswordFile)
	if err != nil {
		return nil, err
	}
	s, err := dial(ctx, net.JoinHostPort(host, port), conf,
		greeting{id: b.id, user: b.cfg.Username, password: password, willTopic: b.statusTopic(), will: "offline"})
	if err != nil {
		return nil, err
	}
	if err := b.announce(s); err != nil {
		s.conn.Close()
		return nil, err
	}
	return s, nil
}

// announce says that we are there, and to Home Assistant what we publish (home-assistant.io/integrations/mqtt, MQTT
// discovery). The messages are retained: it may start after us.
func (b *broker) announce(s *session) error {
	if b.cfg.DiscoveryPrefix != "" {
		for component, entity := range b.entities() {
			payload, err := json.Marshal(entity)
			if err != nil {
				return err
			}
			if err := s.publish(b.cfg.DiscoveryPrefix+"/"+component+"/"+b.id+"/news/config", payload, true); err != nil {
				return err
			}
		}
	}
	return s.publish(b.statusTopic(), []byte("online"), true)
}

// entities are an event, for automations, and a sensor with the last news in words, for people.
func (b *broker) entities() map[string]map[string]any {
	common := func(component, name string) map[string]any {
		return map[string]any{
			"name": name, "unique_id": b.id + "_" + component, "state_topic": b.newsTopic(), "qos": 1,
			"availability_topic": b.statusTopic(), "icon": "mdi:shield-home",
			"device": map[string]any{"identifiers": []string{b.id}, "name": "mudguard on " + b.at.Name, "manufacturer": "mudguard",
				"sw_version": b.at.Version},
			"origin": map[string]any{"name": "mudguard", "sw_version": b.at.Version},
		}
	}
	event, sensor := common("event", "News"), common("sensor", "Last news")
	event["event_types"] = []enforcer.NewsKind{enforcer.NewsDevice, enforcer.NewsHold, enforcer.NewsDenial, enforcer.NewsRepaired}
	sensor["value_template"] = "{{ value_json.text[:255] }}" // a state is that long at most
	sensor["json_attributes_topic"] = b.newsTopic()
	return map[string]map[string]any{"event": event, "sensor": sensor}
}
