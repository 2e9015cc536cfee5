package configs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxDepth bounds nesting. The deepest place of the language is four; the library's parser recurses, and needs time
// quadratic in the depth.
const maxDepth = 16

// document returns the body of the only YAML document in data, nil if it is empty.
func document(name string, data []byte) (ast.Node, error) {
	tokens := lexer.Tokenize(string(data))
	if err := checkTokens(name, tokens); err != nil {
		return nil, err
	}
	// Duplicate keys are found by the decoder, which reports all of them.
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxError(name, err)
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			return nil, fmt.Errorf("%s:%d: a second YAML document; a configuration is one document", name, line(doc.Body))
		}
		body = doc.Body
	}
	return body, nil
}

// checkTokens refuses what a configuration doesn't need and what makes parsing YAML dangerous: references, which can
// make a small file huge; tags and directives, which change what text means; deep nesting.
func checkTokens(name string, tokens token.Tokens) error {
	flow, entries, entryLine := 0, 0, 0
	for _, tk := range tokens {
		at := tk.Position.Line
		switch tk.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType, token.TagType, token.DirectiveType:
			return fmt.Errorf("%s:%d: YAML anchors, aliases, tags and directives are not allowed here", name, at)
		case token.MappingKeyType:
			return fmt.Errorf("%s:%d: YAML's \"? key\" form is not allowed here", name, at)
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.SequenceEntryType:
			if at != entryLine {
				entries, entryLine = 0, at
			}
			entries++
		}
		if flow > maxDepth || entries > maxDepth || tk.Position.IndentNum > 8*maxDepth {
			return fmt.Errorf("%s:%d: nested too deeply", name, at)
		}
	}
	return nil
}

// syntaxError says where the library's parser stopped, in one line; its own text draws a picture of the source.
func syntaxError(name string, err error) error {
	var at interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if !errors.As(err, &at) || at.GetToken() == nil {
		return fmt.Errorf("%s: not YAML: %w", name, err)
	}
	return fmt.Errorf("%s:%d: not YAML: %s", name, at.GetToken().Position.Line, at.GetMessage())
}

// line is where n begins. For a block list or map that is its first entry.
func line(n ast.Node) int {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 && !m.IsFlowStyle {
		n = m.Values[0].Key
	}
	if tk := n.GetToken(); tk != nil && tk.Position != nil {
		return tk.Position.Line
	}
	return 0
}

// kind is what a YAML scalar looked like.
type kind int

const (
	text kind = iota
	integer
	truth
	otherNumber
)

// scalar is a YAML value that is neither list nor map nor null.
type scalar struct {
	kind kind
	text string
}

// scalarOf returns the scalar that n is, if it is one.
func scalarOf(n ast.Node) (scalar, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return scalar{text, n.Value}, true
	case *ast.LiteralNode:
		return scalar{text, n.Value.Value}, true
	case *ast.IntegerNode:
		return scalar{integer, n.Token.Value}, true
	case *ast.BoolNode:
		return scalar{truth, n.Token.Value}, true
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return scalar{otherNumber, n.GetToken().Value}, true
	}
	return scalar{}, false
}

// describe names what was found at n, short and free of control characters.
func describe(n ast.Node) string {
	s, ok := scalarOf(n)
	switch {
	case ok && s.kind == text:
		return quote(s.text)
	case ok:
		return strings.Trim(quote(s.text), `"`)
	}
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a map"
	case *ast.SequenceNode:
		return "a list"
	}
	return "nothing"
}

// quote shows hostile or very long text on one line.
func quote(s string) string {
	const most = 64
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
