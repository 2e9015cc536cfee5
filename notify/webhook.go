package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"mudguard/configs"
	"mudguard/mud/fetch"
)

// webhook posts messages. Its URL is the administrator's own, so it may be anywhere, but nobody sends us elsewhere from there:
// redirects are not followed.
type webhook struct {
	cfg    configs.Webhook
	agent  string
	client *http.Client
}

func newWebhook(cfg configs.Webhook, at Gateway) *webhook {
	return &webhook{cfg: cfg, agent: "mudguard/" + at.Version}
}

func (w *webhook) tick(context.Context) error { return nil }
func (w *webhook) close()                     {}

// connected gives the client, made with the first message.
func (w *webhook) connected() (*http.Client, error) {
	if w.client != nil {
		return w.client, nil
	}
	conf, err := tlsConfig(w.cfg.CAFile)
	if err != nil {
		return nil, err
	}
	w.client = &http.Client{
		Timeout:       ioTime,
		Transport:     &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true, MaxResponseHeaderBytes: 16 << 10, TLSHandshakeTimeout: ioTime},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return w.client, nil
}

func (w *webhook) deliver(ctx context.Context, m message) error {
	client, err := w.connected()
	if err != nil {
		return err
	}
	body, err := json.Marshal(m)
	if err != nil {
		return refusal{err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return refusal{withoutURL(err)}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", w.agent)
	token, err := secret(w.cfg.TokenFile)
	switch {
	case err != nil:
		return err
	case token != "":
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // what it says is nothing to us
	return judge(resp.StatusCode)
}

// judge says what a status code means to who sent something.
func judge(code int) error {
	again := []int{http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests}
	switch err := fmt.Errorf("it answered %d %s", code, http.StatusText(code)); {
	case code/100 == 2:
		return nil
	case code/100 == 3:
		return refusal{fmt.Errorf("%w: a redirect, which is not followed; configure the new address", err)}
	case code/100 == 4 && !slices.Contains(again, code):
		return refusal{err}
	default:
		return err
	}
}

// withoutURL takes the URL from an error: it may hold a secret.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// tlsConfig trusts the CAs of a file, or the system's where there is none.
func tlsConfig(caFile string) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, Time: time.Now}
	if caFile == "" {
		return conf, nil
	}
	roots, err := fetch.LoadRoots([]string{caFile})
	conf.RootCAs = roots
	return conf, err
}
