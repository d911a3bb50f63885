package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Proxy stands between servers and a store, and can come in between.
type Proxy struct {
	proxy *toxiproxy.Proxy
	// URL is the store's address through the proxy.
	URL string
}

// ProxyPostgres and ProxyRedis start a proxy in front of a store. It does nothing until told to, and is closed by Close.
func (r *Rig) ProxyPostgres() (*Proxy, error) { return newProxy("postgres", r.postgresURL) }

// ProxyRedis is as ProxyPostgres.
func (r *Rig) ProxyRedis() (*Proxy, error) { return newProxy("redis", r.Stores.RedisURL()) }

func newProxy(name, upstream string) (*Proxy, error) {
	u, err := url.Parse(upstream)
	if err != nil {
		return nil, fmt.Errorf("reading the address of %s: %w", name, err)
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &Proxy{proxy: toxiproxy.NewProxy(server, name, "127.0.0.1:0", u.Host)}
	if err := p.proxy.Start(); err != nil {
		return nil, fmt.Errorf("starting the proxy before %s: %w", name, err)
	}
	u.Host = p.proxy.Listen
	p.URL = u.String()
	return p, nil
}

// Slow delays each answer of the store, by up to jitter more or less, until Heal.
func (p *Proxy) Slow(latency, jitter int) error {
	return p.add("latency", map[string]int{"latency": latency, "jitter": jitter})
}

// LoseAnswers lets requests through and drops what the store answers, and closes each connection a moment later, until
// Heal.
func (p *Proxy) LoseAnswers() error {
	return p.add("timeout", map[string]int{"timeout": 5})
}

func (p *Proxy) add(kind string, attributes map[string]int) error {
	raw, err := json.Marshal(map[string]any{
		"name": kind, "type": kind, "stream": "downstream", "toxicity": 1, "attributes": attributes,
	})
	if err == nil {
		_, err = p.proxy.Toxics.AddToxicJson(bytes.NewReader(raw))
	}
	if err != nil {
		return fmt.Errorf("coming between: %w", err)
	}
	return nil
}

// Heal lets everything through again.
func (p *Proxy) Heal(ctx context.Context) { p.proxy.Toxics.ResetToxics(ctx) }

// Cut closes all connections, and refuses new ones until Join.
func (p *Proxy) Cut() { p.proxy.Stop() }

// Join takes connections again, where it did before.
func (p *Proxy) Join() error { return p.proxy.Start() }

// Close ends the proxy.
func (p *Proxy) Close() { p.proxy.Stop() }
