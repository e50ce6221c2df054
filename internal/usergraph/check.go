package usergraph

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/internal/entgraph"
)

// hashLen is the longest hash that package auth's own hasher makes with its defaults, and room for larger parameters.
const hashLen = 100

// lengths are the most characters that package auth takes.
var lengths = map[string]int64{"name": 100, "email": 255}

// Problems are what has to be put right before package auth can work on the entity, in the order of its columns. They
// are found in the schema: whether the validators of the project's fields take what package auth writes is known only
// once auth.New has tried.
func (g *Graph) Problems() (found []*Error) {
	report := func(f *entgraph.Field, what, fix string) {
		e := &Error{Position: g.user.Position, found: what, fix: fix}
		if f != nil {
			e.Field = f.Name
		}
		found = append(found, e)
	}
	g.checkID(report)
	email := g.field("email")
	if email == nil {
		report(nil, fmt.Sprintf("the entity %s has no field that holds an address", g.user.Name),
			"name one with --map email=…, or add a unique field.String(\"email\") and fill it first")
	} else {
		at := fmt.Sprintf("the field %s of %s, which is to be the address, ", email.Name, g.user.Name)
		if email.Optional {
			report(email, at+"may be null", "give every row an address, then take out Optional and Nillable")
		}
		if !unique(g.user, email) {
			report(email, at+"is not unique", "settle the rows that share one, then add Unique()")
		}
		if email.Immutable {
			report(email, at+"is immutable", "take out Immutable, which package auth would go past")
		}
	}
	if f := g.field("password"); f != nil {
		at := fmt.Sprintf("the field %s of %s, which is to hold hashes of passwords, ", f.Name, g.user.Name)
		if n := length(f); n > 0 && n < hashLen {
			report(f, fmt.Sprintf("%sholds %d characters", at, n),
				fmt.Sprintf("let it and its column hold %d or more: argon2id's hashes are that long", hashLen))
		}
	}
	for _, c := range columns {
		f := g.field(c.name)
		if f == nil || g.Own {
			continue
		}
		at := fmt.Sprintf("the field %s of %s, which is to be %s, ", f.Name, g.user.Name, c.name)
		if why := c.unfit(f); why != "" {
			report(f, at+why, "map another field, or + for one that is added")
		}
		if !f.Optional && slices.Contains(nullable, c.name) {
			report(f, at+"cannot be null", "add Optional and Nillable, or map + for one that is added")
		}
	}
	g.checkProvider(report)
	for _, c := range g.Columns {
		if c.Source == Added && strings.HasPrefix(c.Field, "auth_") && taken(g.user, c.Field) {
			report(nil, fmt.Sprintf("the entity %s has fields %s and %s that are not package auth's", g.user.Name,
				c.Name, c.Field), "rename one of them")
		}
	}
	for _, name := range []string{g.Sessions, g.RefreshTokens} {
		if !g.Own && taken(g.user, name) {
			report(nil, fmt.Sprintf("the entity %s has something called %s already", g.user.Name, name), "rename it")
		}
	}
	for _, e := range g.schema.Entities {
		if ours := mark[e.Name]; ours != "" && e.Field(ours) == nil {
			report(nil, fmt.Sprintf("the schema has an entity %s of its own", e.Name),
				"rename it: package auth brings one")
		} else if ours == "" && slices.Contains(tables, e.Table) {
			report(nil, fmt.Sprintf("the entity %s has the table %s, which package auth needs", e.Name, e.Table),
				"rename the table")
		}
	}
	if len(g.undecided) > 0 {
		report(nil, fmt.Sprintf("the field %s of %s may say who must not sign in, and its name does not tell how",
			strings.Join(g.undecided, ", "), g.user.Name), `say it with --rule, such as --rule "`+g.example()+
			`", or --rule none if it says nothing of the kind`)
		found[len(found)-1].Undecided = true
	}
	return found
}

var (
	// mark is a field by which each entity of package auth is told from one of the same name.
	mark = map[string]string{"OTP": "otp_hash_code", "RefreshToken": "replaced_by_token_hash", "Session": "token_hash"}
	// tables are those of them.
	tables = []string{"otps", "refresh_tokens", "sessions"}
)

// nullable are the columns that most users have nothing in.
var nullable = []string{"provider_id", "lock_until", "deleted_at", "re_activate_available_at", "suspended_until"}

// checkProvider reports columns that let two users have one identity.
func (g *Graph) checkProvider(report func(*entgraph.Field, string, string)) {
	provider, subject := g.column("provider"), g.column("provider_id")
	if (provider.Source == Absent) != (subject.Source == Absent) {
		report(nil, "of provider and provider_id only one is there, and an identity is both", "map both, or - for both")
	}
	p, s := g.field("provider"), g.field("provider_id")
	if p == nil || s == nil || g.Own {
		return
	}
	if !slices.ContainsFunc(g.user.Indexes, func(i *entgraph.Index) bool {
		return i.Unique && len(i.Columns) == 2 && slices.Contains(i.Columns, p.Column) &&
			slices.Contains(i.Columns, s.Column)
	}) {
		report(s, fmt.Sprintf("two rows of %s may have one identity in %s and %s", g.user.Name, p.Name, s.Name),
			fmt.Sprintf("add index.Fields(%q, %q).Unique()", p.Name, s.Name))
	}
}

// checkID reports an id that sessions cannot name.
func (g *Graph) checkID(report func(*entgraph.Field, string, string)) {
	id := g.user.ID
	at := fmt.Sprintf("the id of %s ", g.user.Name)
	if !id.Declared {
		if typ := g.generatedID(); typ != "" && typ != "int" {
			report(id, at+"is of the type "+typ+" because the generator is told so",
				"declare it in the schema too, as in field.Int64(\"id\"): nothing else tells sessions of it")
		}
	}
	const fix = "sessions and tokens cannot name such a row: choose another type of id"
	switch kind := id.Go.Kind; {
	case id.ValueScanner:
		report(id, at+"has a ValueScanner", "let its Go type have the methods Value and Scan instead")
	case id.Go.Pointer, slices.Contains([]string{"slice", "map", "ptr", "func", "interface"}, kind):
		report(id, at+"is of the type "+id.Go.Ident+", which cannot be compared", fix)
	case slices.Contains([]string{"array", "struct"}, kind) && !id.Go.Scans:
		report(id, at+"is of the type "+id.Go.Ident+", which has no methods Value and Scan", fix)
	case id.Type == "bytes" || id.Type == "json" || strings.HasPrefix(id.Type, "float"):
		report(id, at+"is of Ent's type "+id.Type, fix)
	}
}

// generatedID is the type of an id that the schema does not declare, as the generated client has it; empty if there is
// none yet.
func (g *Graph) generatedID() string {
	client := filepath.Dir(filepath.Dir(g.user.File()))
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(client, strings.ToLower(g.User)+".go"), nil,
		parser.SkipObjectResolution)
	if err != nil {
		return ""
	}
	for _, d := range file.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.TYPE {
			continue
		}
		for _, spec := range decl.Specs {
			fields, ok := spec.(*ast.TypeSpec).Type.(*ast.StructType)
			if !ok || spec.(*ast.TypeSpec).Name.Name != g.User {
				continue
			}
			for _, f := range fields.Fields.List {
				if len(f.Names) == 1 && f.Names[0].Name == "ID" {
					return typeName(f.Type)
				}
			}
		}
	}
	return ""
}

// length is how many characters the column of a text holds on MySQL; 0 if that is Ent's default or not told.
func length(f *entgraph.Field) int64 {
	for _, t := range f.SchemaType {
		if m := charType.FindStringSubmatch(t); m != nil {
			n, err := strconv.ParseInt(m[1], 10, 64)
			if err == nil && (f.Size == 0 || n < f.Size) {
				return n
			}
		}
	}
	return f.Size
}

var charType = regexp.MustCompile(`(?i)char[a-z]*\s*\((\d+)\)`)

// example is a rule as it might be written for the first undecided field.
func (g *Graph) example() string {
	f := g.user.Field(g.undecided[0])
	switch f.Type {
	case "enum", "string":
		value := "active"
		if len(f.Enums) > 0 && !slices.Contains(f.Enums, value) {
			value = f.Enums[0]
		}
		return f.Column + " = '" + value + "'"
	case "time":
		return f.Column + " IS NULL"
	default:
		return f.Column + " = 1"
	}
}

// Notes are what a reader of the plan should know, and nothing in the way.
func (g *Graph) Notes() (notes []string) {
	if c := g.column("password"); c.Source == Theirs {
		notes = append(notes, fmt.Sprintf("the hashes in %s stay as the project's code wrote them until "+
			"Config says that no code of it reads them any more", c.Field))
		if f := g.field("password"); f.Validators > 0 {
			notes = append(notes, f.Name+" has validators, which are not known here: auth.New tries them")
		}
	}
	switch f := g.field("email"); {
	case f == nil || g.Own:
	case f.Collation == "" || strings.HasSuffix(f.Collation, "_bin") || f.Collation == "binary":
		// Ent's own default, on SQLite too.
		notes = append(notes, fmt.Sprintf("addresses are looked up in lower case: where %s compares bytes, a row with "+
			"capitals is not found, and its address is free: write them in lower case, and correct the rows", f.Name))
	default:
		notes = append(notes, fmt.Sprintf("the collation %s of %s takes addresses for one that differ: package auth "+
			"compares them itself, so the second of two gets no account", f.Collation, f.Name))
	}
	for _, c := range columns {
		f := g.field(c.name)
		if f == nil || g.Own {
			continue
		}
		if n, longest := length(f), lengths[c.name]; 0 < n && n < longest {
			notes = append(notes, fmt.Sprintf("%s holds %d characters: a longer %s, up to %d, is refused",
				f.Name, n, c.name, longest))
		}
		condition, undecided := guessRule(f)
		asks := strings.Contains(g.Rule, "u.`"+f.Column+"`")
		if (c.kind == text || c.kind == choice) && (condition != "" || undecided) && !asks {
			notes = append(notes, fmt.Sprintf("%s may say who must not sign in, and is taken for the %s: no rule "+
				"asks it unless --rule says so", f.Name, c.name))
		}
	}
	if f := g.field("role"); f != nil && f.Type == "enum" && !g.Own {
		for _, role := range schematype.Role("").Values() {
			if !slices.Contains(f.Enums, role) {
				notes = append(notes, fmt.Sprintf("%s does not list %s: ChangeRole refuses it", f.Name, role))
			}
		}
	}
	if g.user.Hooks > 0 {
		notes = append(notes, fmt.Sprintf("%s has hooks: they see a new user, with something else in place of the "+
			"password, and nothing that package auth writes later", g.user.Name))
	}
	if g.user.Interceptors+g.user.Policies > 0 {
		notes = append(notes, fmt.Sprintf("%s has interceptors or a policy, which package auth goes past", g.user.Name))
	}
	if to := g.column("is_email_verified"); to.Source == Added {
		notes = append(notes, fmt.Sprintf("the rows that are there count as not verified: a code by mail takes the "+
			"password from such an account, as somebody else may have set it: set %s to 1 where the project has proof "+
			"of the address", to.Field))
	}
	for _, f := range g.user.Fields {
		if f.Type == "time" && strings.Contains(f.Name, "verified") && g.column("is_email_verified").Source == Added {
			notes = append(notes, fmt.Sprintf("%s is a time: set %s of the rows that have one", f.Name,
				g.column("is_email_verified").Field))
		}
	}
	return notes
}
