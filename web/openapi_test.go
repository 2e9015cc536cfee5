package web

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// document is the description of the API, as tests hold answers against it.
type document struct {
	Paths map[string]map[string]json.RawMessage

	mu      sync.Mutex // the compiler isn't for several at once
	schemas *jsonschema.Compiler
}

// readDocument reads openapi.json. Its schemas let through members that they don't list, as clients should; here those are errors.
func readDocument(t testing.TB) *document {
	t.Helper()
	raw, err := os.ReadFile("openapi.json")
	must(t, err)
	d := &document{schemas: jsonschema.NewCompiler()}
	must(t, json.Unmarshal(raw, d))
	all, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	must(t, err)
	closeObjects(all)
	d.schemas.AssertFormat()
	must(t, d.schemas.AddResource("openapi.json", all))
	return d
}

func closeObjects(v any) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			closeObjects(x)
		}
	case map[string]any:
		if _, object := v["properties"]; object {
			v["additionalProperties"] = false
		}
		for _, x := range v {
			closeObjects(x)
		}
	}
}

// at gives the path of the document that a request's is an instance of.
func (d *document) at(path string) string {
	have := strings.Split(path, "/")
	for p := range d.Paths {
		parts := strings.Split(p, "/")
		same := len(parts) == len(have)
		for i := range parts {
			same = same && (strings.HasPrefix(parts[i], "{") || parts[i] == have[i])
		}
		if same {
			return p
		}
	}
	return ""
}

// described checks that an answer is as the document says.
func (b *bench) described(method, target string, code int, raw []byte) {
	b.t.Helper()
	path, _, _ := strings.Cut(strings.TrimPrefix(target, prefix), "?")
	at := "#/components/schemas/Problem"
	if code == http.StatusOK {
		escaped := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(b.doc.at(path))
		at = "#/paths/" + escaped + "/" + strings.ToLower(method) + "/responses/200/content/application~1json/schema"
	}
	b.doc.mu.Lock()
	schema, err := b.doc.schemas.Compile("openapi.json" + at)
	b.doc.mu.Unlock()
	must(b.t, err)
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	must(b.t, err)
	if err := schema.Validate(v); err != nil {
		b.t.Errorf("%s %s: not as the document says: %v", method, target, err)
	}
}

// TestDocument: each endpoint is in the document, and each that is in the document is there.
func TestDocument(t *testing.T) {
	b := newBench(t)
	routes := map[string]bool{"get /events": true}
	for _, r := range (&api{}).routes() {
		method, path, _ := strings.Cut(r.pattern, " ")
		routes[strings.ToLower(method)+" "+path] = true
	}
	ids := map[string]bool{}
	for path, item := range b.doc.Paths {
		for method, raw := range item {
			if method == "parameters" {
				continue
			}
			if !routes[method+" "+path] {
				t.Errorf("%s %s is described, and not there", method, path)
			}
			delete(routes, method+" "+path)
			b.checkOperation(method+" "+path, raw, ids)
		}
	}
	for r := range routes {
		t.Errorf("%s is not described", r)
	}
	var served map[string]any
	b.ask("GET", "/api/v1/openapi.json", "", 200, &served)
	if served["openapi"] != "3.1.0" {
		t.Errorf("served is %v", served["openapi"])
	}
}

// checkOperation: each schema compiles, each name is there once, and what needs no session is what Guard lets through without.
func (b *bench) checkOperation(name string, raw json.RawMessage, ids map[string]bool) {
	b.t.Helper()
	var op struct {
		OperationID string
		Summary     string
		Security    *[]any
	}
	must(b.t, json.Unmarshal(raw, &op))
	if op.OperationID == "" || op.Summary == "" || ids[op.OperationID] {
		b.t.Errorf("%s: operationId %q, summary %q", name, op.OperationID, op.Summary)
	}
	ids[op.OperationID] = true
	_, path, _ := strings.Cut(name, " ")
	r, err := http.NewRequestWithContext(b.t.Context(), "GET", "http://localhost"+prefix+path, nil)
	must(b.t, err)
	if open := op.Security != nil && len(*op.Security) == 0; open != b.auth.isOpen(r) {
		b.t.Errorf("%s: described as open: %v, is open: %v", name, open, b.auth.isOpen(r))
	}
}

// TestAnswersAsDescribed asks what other tests don't: each answer is held against the document by ask.
func TestAnswersAsDescribed(t *testing.T) {
	b := newBench(t)
	b.denied(23)
	var v any
	for _, target := range []string{"/devices?limit=2", "/denials?limit=1", "/attempts", "/waiting", "/report", "/session", "/devices/" + lampMAC + "/report"} {
		b.ask("GET", prefix+target, "", 200, &v)
	}
	b.ask("POST", prefix+"/setup", `{"password":"long enough"}`, 403, &v) // no token
}
