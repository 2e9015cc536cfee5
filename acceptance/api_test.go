package acceptance

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
)

// api asks the daemon over its socket, without a process for it.
func (l *lab) api(method, path, body string) error {
	_, err := l.ask(method, path, body)
	return err
}

func (l *lab) get(path string) ([]byte, error) { return l.ask("GET", path, "") }

func (l *lab) ask(method, path, body string) ([]byte, error) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(l.dir, "s"))
		}}}
	req, err := http.NewRequest(method, "http://mudguard/api/v1/"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, path, res.Status, text)
	}
	return text, err
}
