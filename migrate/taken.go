package migrate

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/authgraph/authgraph/internal/dbserver"
	"github.com/authgraph/authgraph/internal/directory"
	"github.com/authgraph/authgraph/internal/history"
	"github.com/authgraph/authgraph/internal/registry"
)

const plainName = "[`\"\\[]?([^`\"\\]\\s(.;]+)[`\"\\]]?"

var (
	// makes is a statement that fails if its name is taken.
	makes = regexp.MustCompile(
		`(?is)^\s*CREATE\s+(?:TABLE|VIEW|SEQUENCE)\s+` + plainName + `\s*(?:\(|AS\b|LIKE\b|START\b|$)`)
	// frees is a statement that may set names free.
	frees = regexp.MustCompile(`(?is)^\s*(?:DROP|RENAME|ALTER|CALL|EXECUTE|USE)\b`)
)

// makesNames are the names that statements make and that have to be free before the first of them runs. A name that an
// earlier statement may set free is left out.
func makesNames(texts []string) (names []string) {
	for i, text := range texts {
		m := makes.FindStringSubmatch(text)
		if m == nil || strings.EqualFold(m[1], "IF") {
			continue
		}
		freed := func(before string) bool {
			return frees.MatchString(before) &&
				(strings.Contains(before, m[1]) || !strings.ContainsAny(before[:1], "DdRrAa"))
		}
		if !slices.ContainsFunc(texts[:i], freed) {
			names = append(names, m[1])
		}
	}
	return names
}

// checkNames refuses pending statements that make something that is there already. The error is a [*TakenError]. If a
// [*DirtyError] follows, it is the one that reports the tables of this schema.
func (a *applier) checkNames(ctx context.Context, pending []*pendingFile, dirty bool) error {
	var texts []string
	from := map[string]string{}
	for _, t := range pending {
		begin := t.rev.Applied
		if t.ran {
			begin++
		}
		for _, code := range t.file.Code[min(begin, len(t.file.Code)):] {
			texts = append(texts, strings.TrimSpace(code))
			if m := makes.FindStringSubmatch(code); m != nil && from[m[1]] == "" {
				from[m[1]] = t.file.Name()
			}
		}
	}
	return a.refuse(ctx, makesNames(texts), func(o dbserver.Object) bool { return dirty && o.IsOurs() }, from)
}

// checkBaseline refuses a baseline whose table names belong to another library's tables or to something that is no
// table. The error is a [*TakenError].
func (a *applier) checkBaseline(ctx context.Context, version string) error {
	files, err := a.dir.Files()
	if err != nil {
		return directory.Wrap(a.dir, err)
	}
	var texts []string
	from := map[string]string{}
	for _, f := range files {
		if f.Version() > version {
			break
		}
		file, err := directory.Split(a.db.Driver, f)
		if err != nil {
			return err
		}
		for _, code := range file.Code {
			texts = append(texts, strings.TrimSpace(code))
			if m := makes.FindStringSubmatch(code); m != nil {
				from[m[1]] = f.Name()
			}
		}
	}
	gone := slices.DeleteFunc(slices.Clone(texts), func(text string) bool {
		return !frees.MatchString(text) || strings.HasPrefix(strings.ToUpper(text), "ALTER")
	})
	return a.refuse(ctx, makesNames(append(gone, texts...)), func(o dbserver.Object) bool {
		others := o.Owner() != "" && slices.Contains(registry.Tables(), o.Name)
		return o.Kind == dbserver.KindTable && (o.IsOurs() || !others) || o.Kind == dbserver.KindVersioned
	}, from)
}

// refuse is a [*TakenError] for the objects that have one of the names, except those that are allowed. from says which
// file makes a name.
func (a *applier) refuse(
	ctx context.Context, names []string, allowed func(dbserver.Object) bool, from map[string]string,
) error {
	found, err := dbserver.Objects(ctx, a.db.Conn, a.db.URL.Dialect, names)
	if err != nil {
		return err
	}
	found = slices.DeleteFunc(found, allowed)
	if len(found) == 0 {
		return nil
	}
	// In the order of the statements.
	at := func(o dbserver.Object) int {
		return slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, o.Name) })
	}
	slices.SortFunc(found, func(x, y dbserver.Object) int { return at(x) - at(y) })
	return &history.TakenError{File: from[names[at(found[0])]], Objects: found}
}
