package authgraph_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	htmltemplate "html/template"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"text/template"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/entity"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

func TestSecretsAreNeitherPrintedNorSerialised(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		ada := newUser(client, "ada@example.com").SetPassword("top-secret-1").SaveX(ctx)
		otp := newOTP(client, "ada@example.com").SetOtpHashCode("top-secret-2").SaveX(ctx)
		device := newSession(client, ada, "top-secret-3").SaveX(ctx)
		token := newRefreshToken(client, ada, "top-secret-4").SetReplacedByTokenHash("top-secret-5").SaveX(ctx)
		loaded := client.User.Query().WithSessions().WithRefreshTokens().OnlyX(ctx)

		for name, v := range map[string]any{
			"user":                  ada,
			"user with its edges":   loaded,
			"OTP":                   otp,
			"session":               device,
			"refresh token":         token,
			"sessions":              loaded.Edges.Sessions,
			"edges":                 loaded.Edges,
			"the value of an OTP":   *otp,
			"the value of a token":  *token,
			"the value of a user":   *loaded,
			"the value of a device": *device,
			"mutation":              newSession(client, ada, "top-secret-6").Mutation(),
			"builder":               newRefreshToken(client, ada, "top-secret-7"),
			"query result in a map": map[string]any{"token": token},
		} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
				assert.NotContains(t, fmt.Sprintf(verb, v), "top-secret", "%s as %s", name, verb)
			}
			if name == "mutation" || name == "builder" {
				continue
			}
			text, err := json.Marshal(v)
			require.NoError(t, err, name)
			assert.NotContains(t, string(text), "top-secret", name)

			var log bytes.Buffer
			slog.New(slog.NewTextHandler(&log, nil)).Info("", "v", v)
			slog.New(slog.NewJSONHandler(&log, nil)).Info("", "v", v)
			assert.NotContains(t, log.String(), "top-secret", name)
		}
		assert.Contains(t, ada.String(), "password=<sensitive>")
	})
}

// writers are the ways of the standard library in which a value leaves a program.
var writers = map[string]func(io.Writer, any) error{
	"JSON": func(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) },
	"XML":  func(w io.Writer, v any) error { return xml.NewEncoder(w).Encode(v) },
	"gob":  func(w io.Writer, v any) error { return gob.NewEncoder(w).Encode(v) },
	"text/template": func(w io.Writer, v any) error {
		return template.Must(template.New("").Parse("{{.}} {{js .}} {{printf `%q %x` . .}}")).Execute(w, v)
	},
	"html/template": func(w io.Writer, v any) error {
		const page = `{{.}} <a href="/?q={{.}}" title="{{.}}"></a> <script>var v = {{.}}</script>`
		return htmltemplate.Must(htmltemplate.New("").Parse(page)).Execute(w, v)
	},
	"slog as text": func(w io.Writer, v any) error {
		slog.New(slog.NewTextHandler(w, nil)).Info("", "v", v, slog.Group("g", "v", v))
		return nil
	},
	"slog as JSON": func(w io.Writer, v any) error {
		slog.New(slog.NewJSONHandler(w, nil)).Info("", "v", v, slog.Group("g", "v", v))
		return nil
	},
	"fmt": func(w io.Writer, v any) error {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%e"} {
			fmt.Fprintf(w, verb, v)
		}
		return nil
	},
}

// Each entity is tried with each of its sensitive fields set, by itself and as the edge of another.
func TestNoEntityWritesASensitiveField(t *testing.T) {
	const secret = "top-secret"
	hidden := fmt.Sprintf("%x", secret)
	sensitive := 0
	for _, e := range entity.All {
		row := reflect.New(entityOf(t, e.Type))
		sensitive += fill(row.Elem(), secret)
		if edges := row.Elem().FieldByName("Edges"); edges.IsValid() {
			for i := range edges.NumField() {
				withRow(edges.Field(i), secret)
			}
		}
		values := []any{row.Interface(), row.Elem().Interface(), []any{row.Interface()}}
		if edges := row.Elem().FieldByName("Edges"); edges.IsValid() {
			values = append(values, edges.Interface())
		}
		for i, v := range values {
			for name, write := range writers {
				if _, list := v.([]any); list && name == "gob" {
					continue // it knows no interfaces
				}
				var out bytes.Buffer
				require.NoError(t, write(&out, v), "%s %d as %s", e.Type, i, name)
				assert.NotEmpty(t, out.String())
				assert.NotContains(t, out.String(), secret, "%s %d as %s", e.Type, i, name)
				assert.NotContains(t, strings.ToLower(out.String()), hidden, "%s %d as %s", e.Type, i, name)
			}
		}
	}
	assert.GreaterOrEqual(t, sensitive, 6)
}

// entityOf is the Go type of an entity: what its client's Get returns.
func entityOf(t *testing.T, name string) reflect.Type {
	t.Helper()
	client, ok := reflect.TypeFor[ent.Client]().FieldByName(name)
	require.True(t, ok, name)
	get, ok := client.Type.MethodByName("Get")
	require.True(t, ok, name)
	return get.Type.Out(0).Elem()
}

// fill sets the sensitive fields of a row, which is what Ent leaves out of JSON, and returns how many there are.
func fill(row reflect.Value, secret string) (n int) {
	for i := range row.NumField() {
		if f := row.Type().Field(i); f.IsExported() && f.Tag.Get("json") == "-" {
			n++
			field := row.Field(i)
			if field.Kind() == reflect.Pointer {
				field.Set(reflect.New(field.Type().Elem()))
				field = field.Elem()
			}
			field.SetString(secret)
		}
	}
	return n
}

// withRow puts a row with secrets into a field of Edges.
func withRow(edge reflect.Value, secret string) {
	one := edge.Type()
	if one.Kind() == reflect.Slice {
		one = one.Elem()
	}
	if one.Kind() != reflect.Pointer || !edge.CanSet() {
		return
	}
	row := reflect.New(one.Elem())
	fill(row.Elem(), secret)
	if edge.Kind() == reflect.Slice {
		row = reflect.Append(edge, row)
	}
	edge.Set(row)
}

// A program may keep a row in a cache. What is not sensitive comes back as it was.
func TestAnEntityComesBackFromGobWithoutItsSecrets(t *testing.T) {
	hash, provider := "top-secret", "subject"
	before := ent.User{ID: 7, Email: "ada@example.com", Password: &hash, ProviderID: &provider}
	before.Edges.Sessions = []*ent.Session{{ID: 8, TokenHash: hash, IsActive: true}}
	var cache bytes.Buffer
	require.NoError(t, gob.NewEncoder(&cache).Encode(&before))
	var after ent.User
	require.NoError(t, gob.NewDecoder(&cache).Decode(&after))
	before.Password, before.Edges.Sessions[0].TokenHash = nil, ""
	assert.Equal(t, before, after)
}
