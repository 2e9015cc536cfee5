package configs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// maxProblems bounds how many problems are reported; with more, the file is not a configuration of ours at all.
const maxProblems = 20

// decoder collects the problems of one file.
type decoder struct {
	file     string
	problems []error
	dropped  bool            // there were more
	seen     map[string]int  // line of every key met, by its dotted path
	wrong    map[string]bool // dotted paths whose value was of the wrong kind
}

// A reader decodes the value n of the key with the dotted path at.
type reader func(d *decoder, at string, n ast.Node)

// key is one key of a section.
type key struct {
	name string
	read reader
}

// value is a parser of scalars: parse says what want describes in words. An error of parse is a detail to add.
type value[T any] struct {
	want  string
	parse func(scalar) (T, error)
}

// errOther says that a scalar is not what was wanted, with nothing to add.
var errOther = errors.New("other")

func (d *decoder) problem(line int, format string, args ...any) {
	if len(d.problems) == maxProblems {
		d.dropped = true
		return
	}
	where := fmt.Sprintf("%s:%d: ", d.file, line)
	d.problems = append(d.problems, errors.New(where+fmt.Sprintf(format, args...)))
}

func (d *decoder) err() error {
	if d.dropped {
		return errors.Join(append(d.problems, fmt.Errorf("%s: more problems are not shown", d.file))...)
	}
	return errors.Join(d.problems...)
}

// require reports that a key of section is missing, unless the section itself is wrong and so reported already.
func (d *decoder) require(section, path string) {
	if _, ok := d.seen[path]; ok {
		return
	}
	at, ok := d.seen[section]
	if !ok {
		d.problems = append(d.problems, fmt.Errorf("%s: %s is required", d.file, path))
		return
	}
	if !d.wrong[section] {
		d.problem(at, "%s is required", path)
	}
}

// found reports a value that is not what its key wants.
func (d *decoder) found(at string, n ast.Node, want string, detail error) {
	d.wrong[at] = true
	what := describe(n)
	if detail != nil && !errors.Is(detail, errOther) {
		what += " (" + detail.Error() + ")"
	}
	d.problem(line(n), "%s: found %s; allowed: %s", at, what, want)
}

// section reads a map whose keys are fixed.
func section(keys ...key) reader {
	return func(d *decoder, at string, n ast.Node) {
		d.entries(at, n, "a map of "+names(keys), func(path, name string, entry *ast.MappingValueNode) {
			for _, k := range keys {
				if k.name == name {
					k.read(d, path, entry.Value)
					return
				}
			}
			d.problem(line(entry.Key), "%s: unknown key; %s", path, hint(name, keys))
		})
	}
}

// entries calls each for the entries of the map n, in the order of the file, once for each key.
func (d *decoder) entries(at string, n ast.Node, want string, each func(path, name string, entry *ast.MappingValueNode)) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		d.found(pathOr(at, "the file"), n, want, nil)
		return
	}
	lines := map[string]int{}
	for _, entry := range m.Values {
		name, ok := scalarOf(entry.Key)
		if !ok {
			d.problem(line(entry), "%s: found a key that is no text", pathOr(at, "the file"))
			continue
		}
		path := join(at, name.text)
		if first, twice := lines[name.text]; twice {
			d.problem(line(entry.Key), "%s: already set on line %d", path, first)
			continue
		}
		lines[name.text] = line(entry.Key)
		d.seen[path] = line(entry.Key)
		each(path, name.text, entry)
	}
}

// one reads a scalar into dst, which keeps its default if the scalar is wrong.
func one[T any](dst *T, v value[T]) reader {
	return func(d *decoder, at string, n ast.Node) {
		if got, ok := read(d, at, n, v); ok {
			*dst = got
		}
	}
}

// hidden is one for a value that may hold a secret: a wrong one is not shown.
func hidden[T any](dst *T, v value[T]) reader {
	return func(d *decoder, at string, n ast.Node) {
		if s, ok := scalarOf(n); ok {
			if got, err := v.parse(s); err == nil {
				*dst = got
				return
			}
		}
		d.wrong[at] = true
		d.problem(line(n), "%s: what is there is not shown, as it may be secret; allowed: %s", at, v.want)
	}
}

func read[T any](d *decoder, at string, n ast.Node, v value[T]) (T, bool) {
	var zero T
	s, ok := scalarOf(n)
	if !ok {
		d.found(at, n, v.want, nil)
		return zero, false
	}
	got, err := v.parse(s)
	if err != nil {
		d.found(at, n, v.want, err)
		return zero, false
	}
	return got, true
}

// list reads a list of different scalars into dst; an empty list is nil.
func list[T comparable](dst *[]T, v value[T]) reader {
	return func(d *decoder, at string, n ast.Node) {
		seq, ok := n.(*ast.SequenceNode)
		if !ok {
			d.found(at, n, "a list such as [a, b], or [] for none; each: "+v.want, nil)
			return
		}
		*dst = nil
		seen := map[T]bool{}
		for _, item := range seq.Values {
			got, ok := read(d, at, item, v)
			switch {
			case !ok:
			case seen[got]:
				d.problem(line(item), "%s: %s is listed twice", at, describe(item))
			default:
				seen[got] = true
				*dst = append(*dst, got)
			}
		}
	}
}

// sections reads a list of at most most maps, each with a key that it must have.
func sections[T any](dst *[]T, most int, must string, keys func(*T) []key) reader {
	return func(d *decoder, at string, n ast.Node) {
		seq, ok := n.(*ast.SequenceNode)
		if !ok {
			d.found(at, n, "a list of maps such as [{"+must+": …}], or [] for none", nil)
			return
		}
		if len(seq.Values) > most {
			d.problem(line(n), "%s: at most %d", at, most)
			return
		}
		*dst = nil
		for i, item := range seq.Values {
			var one T
			path := fmt.Sprintf("%s[%d]", at, i)
			d.seen[path] = line(item)
			section(keys(&one)...)(d, path, item)
			d.require(path, path+"."+must)
			*dst = append(*dst, one)
		}
	}
}

// atLeastOne reports an empty list.
func atLeastOne(next reader) reader {
	return func(d *decoder, at string, n ast.Node) {
		if seq, ok := n.(*ast.SequenceNode); ok && len(seq.Values) == 0 {
			d.problem(line(n), "%s is required: at least one", at)
			return
		}
		next(d, at, n)
	}
}

// dict reads a map of free keys, each with a list, into dst; an empty map is nil.
func dict[T comparable](dst *map[string][]T, k value[string], v value[T]) reader {
	return func(d *decoder, at string, n ast.Node) {
		*dst = nil
		d.entries(at, n, "a map such as {KEY: [a, b]}, or {} for none", func(path, _ string, entry *ast.MappingValueNode) {
			name, ok := read(d, at, entry.Key, k)
			if !ok {
				return
			}
			var items []T
			list(&items, v)(d, path, entry.Value)
			if *dst == nil {
				*dst = map[string][]T{}
			}
			(*dst)[name] = items
		})
	}
}

// join appends a key of the file to a dotted path; odd ones are quoted, so that an error stays one readable line.
func join(at, name string) string {
	odd := func(r rune) bool { return r <= ' ' || r > '~' || r == '"' }
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, odd) {
		name = quote(name)
	}
	if at == "" {
		return name
	}
	return at + "." + name
}

func pathOr(at, other string) string {
	if at == "" {
		return other
	}
	return at
}

func names(keys []key) string {
	all := make([]string, len(keys))
	for i, k := range keys {
		all[i] = k.name
	}
	return strings.Join(all, ", ")
}

// hint names the key that was probably meant, or all there are.
func hint(name string, keys []key) string {
	best, least := "", 3
	for _, k := range keys {
		if n := distance(name, k.name); n < least && n*2 < len(k.name) {
			best, least = k.name, n
		}
	}
	if best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "allowed: " + names(keys)
}

// distance is how many letters must be put in, taken out, changed or swapped with their neighbour to make b of a
// (optimal string alignment); texts of very different length count as far apart, so that hostile ones cost nothing.
func distance(a, b string) int {
	const far = 99
	if len(a) > len(b)+3 || len(b) > len(a)+3 {
		return far
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			rows[i][j] = step(rows, a, b, i, j)
		}
	}
	return rows[len(a)][len(b)]
}

func step(rows [][]int, a, b string, i, j int) int {
	change := 1
	if a[i-1] == b[j-1] {
		change = 0
	}
	n := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
	if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
		n = min(n, rows[i-2][j-2]+1)
	}
	return n
}
