package authgraph_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
