package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"mudguard/mud"
)

// maxReply bounds what a client reads of one answer.
const maxReply = 64 << 20

// Client asks a daemon over its unix socket.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient gives a client for the daemon that listens at path. It connects with the first request.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{socket: path, http: &http.Client{
		Timeout:   changeTime + 20*time.Second,
		Transport: &http.Transport{DialContext: dial, MaxIdleConns: 1, DisableCompression: true},
	}}
}

// UnreachableError says that no daemon answered.
type UnreachableError struct {
	Socket string
	Err    error
}

// Error says what to do.
func (u *UnreachableError) Error() string {
	return fmt.Sprintf("the daemon cannot be reached at %s: %s", mud.Clean(u.Socket, 200), u.hint())
}

func (u *UnreachableError) hint() string {
	op, _ := errors.AsType[*net.OpError](u.Err)
	timeout, _ := errors.AsType[net.Error](u.Err)
	switch {
	case errors.Is(u.Err, fs.ErrPermission):
		return "you may not open its socket (root may, and the socket's group)"
	case errors.Is(u.Err, fs.ErrNotExist), errors.Is(u.Err, syscall.ECONNREFUSED):
		return "is it running? (mudguard run --config FILE)"
	case op != nil && op.Op == "dial", errors.Is(u.Err, context.Canceled):
		return u.Err.Error()
	case timeout != nil && timeout.Timeout():
		return "it did not answer in time"
	}
	return "it closed the connection; its log says why (only root, its own user and the socket's group may ask it)"
}

// Unwrap gives the cause.
func (u *UnreachableError) Unwrap() error { return u.Err }

// ReplyError is a request that the daemon refused.
type ReplyError struct {
	Code    int // of HTTP
	Message string
}

// Error gives the daemon's words.
func (r *ReplyError) Error() string { return r.Message }

// Reply is an answer: its JSON, and which life of the daemon gave it.
type Reply struct {
	JSON     []byte
	Instance string
}

// Get asks for something.
func (c *Client) Get(ctx context.Context, path string, query url.Values) (Reply, error) {
	return c.call(ctx, http.MethodGet, path, query, nil)
}

// Post asks for a change. body, if not nil, is sent as JSON.
func (c *Client) Post(ctx context.Context, path string, body any) (Reply, error) {
	return c.call(ctx, http.MethodPost, path, nil, body)
}

// Put sets something, sent as JSON.
func (c *Client) Put(ctx context.Context, path string, body any) (Reply, error) {
	return c.call(ctx, http.MethodPut, path, nil, body)
}

// Delete takes something away.
func (c *Client) Delete(ctx context.Context, path string) (Reply, error) {
	return c.call(ctx, http.MethodDelete, path, nil, nil)
}

func (c *Client) call(ctx context.Context, method, path string, query url.Values, body any) (Reply, error) {
	var payload io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return Reply{}, err
		}
		payload = bytes.NewReader(raw)
	}
	u := url.URL{Scheme: "http", Host: "mudguard", Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), payload)
	if err != nil {
		return Reply{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err // without the made-up URL
		}
		return Reply{}, &UnreachableError{c.socket, err}
	}
	defer resp.Body.Close()
	return c.read(resp)
}

func (c *Client) read(resp *http.Response) (Reply, error) {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	switch {
	case err != nil:
		return Reply{}, &UnreachableError{c.socket, err}
	case len(raw) > maxReply:
		return Reply{}, &ReplyError{resp.StatusCode, "the daemon's answer is too large"}
	case resp.StatusCode == http.StatusOK:
		return Reply{raw, resp.Header.Get(instanceHeader)}, nil
	}
	var e Problem
	if json.Unmarshal(raw, &e) != nil || e.Detail == "" {
		e.Detail = "the daemon answered " + resp.Status
	}
	return Reply{}, &ReplyError{resp.StatusCode, mud.Clean(e.Detail, 1000)}
}
