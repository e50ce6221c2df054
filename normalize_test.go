package authgraph_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph/ent"
	"github.com/authgraph/authgraph/ent/otp"
	"github.com/authgraph/authgraph/ent/refreshtoken"
	"github.com/authgraph/authgraph/ent/schema/schematype"
	"github.com/authgraph/authgraph/ent/session"
	"github.com/authgraph/authgraph/ent/user"
	"github.com/authgraph/authgraph/internal/mysqltest"
)

const (
	typed      = "\t Jose\u0301@Example.COM \n" // as an iPhone may send it
	normalised = "jos\u00e9@example.com"
)

// Whichever way of the client an address is written, one spelling is stored.
func TestEveryWayToWriteAnEmailNormalisesIt(t *testing.T) {
	ways := map[string]func(context.Context, *ent.Client) error{
		"create": func(ctx context.Context, c *ent.Client) error {
			return newUser(c, typed).Exec(ctx)
		},
		"create many": func(ctx context.Context, c *ent.Client) error {
			return c.User.CreateBulk(newUser(c, typed), newUser(c, "BOB@example.com")).Exec(ctx)
		},
		"create many from a slice": func(ctx context.Context, c *ent.Client) error {
			return c.User.MapCreateBulk([]string{typed}, func(u *ent.UserCreate, i int) {
				u.SetName("Ada").SetEmail(typed)
			}).Exec(ctx)
		},
		"update one": func(ctx context.Context, c *ent.Client) error {
			return newUser(c, "old@example.com").SaveX(ctx).Update().SetEmail(typed).Exec(ctx)
		},
		"update": func(ctx context.Context, c *ent.Client) error {
			newUser(c, "old@example.com").SaveX(ctx)
			return c.User.Update().Where(user.Email("old@example.com")).SetEmail(typed).Exec(ctx)
		},
		"upsert that inserts": func(ctx context.Context, c *ent.Client) error {
			return newUser(c, typed).OnConflictColumns(user.FieldEmail).UpdateNewValues().Exec(ctx)
		},
		"upsert that updates": func(ctx context.Context, c *ent.Client) error {
			newUser(c, normalised).SaveX(ctx)
			return newUser(c, typed).OnConflictColumns(user.FieldEmail).UpdateNewValues().Exec(ctx)
		},
		"upsert of many": func(ctx context.Context, c *ent.Client) error {
			newUser(c, normalised).SaveX(ctx)
			return c.User.CreateBulk(newUser(c, typed), newUser(c, "BOB@example.com")).
				OnConflictColumns(user.FieldEmail).UpdateNewValues().Exec(ctx)
		},
		"in a transaction": func(ctx context.Context, c *ent.Client) error {
			tx, err := c.Tx(ctx)
			if err != nil {
				return err
			}
			if err := newUser(tx.Client(), typed).Exec(ctx); err != nil {
				return err
			}
			return tx.Commit()
		},
	}
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		db := mysqltest.DB(t, url)
		for name, write := range ways {
			require.NoError(t, write(ctx, client), name)
			assert.Equal(t, 1, single[int](t, db, "SELECT COUNT(*) FROM users WHERE email = '"+normalised+"'"), name)
			client.User.Delete().ExecX(ctx)
		}
	})
}

func TestTheEmailOfAnOTPIsNormalised(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		created := newOTP(client, typed).SaveX(ctx)
		assert.Equal(t, normalised, created.Email)
		client.OTP.CreateBulk(newOTP(client, typed), newOTP(client, typed)).ExecX(ctx)
		newOTP(client, "x@example.com").SaveX(ctx).Update().SetEmail(typed).ExecX(ctx)
		newOTP(client, typed).OnConflictColumns(otp.FieldID).UpdateNewValues().ExecX(ctx)
		client.OTP.Update().SetEmail(typed).ExecX(ctx)
		assert.Equal(t, 5, client.OTP.Query().Where(otp.Email(normalised)).CountX(ctx))
	})
}

// A predicate compares what it is given: a caller normalises what was typed.
func TestALookupComparesTheAddressExactly(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		newUser(client, "jose@x.com").SaveX(ctx)
		newOTP(client, "jose@x.com").SaveX(ctx)
		for _, other := range []string{
			"JOSÉ@x.com",
			"josé@x.com",
			"JOSE@x.com",
			"ｊｏｓｅ@x.com", // full-width letters
			"jose\u0301@x.com",
			"jose@x.com\u200b",
		} {
			assert.False(t, client.User.Query().Where(user.Email(other)).ExistX(ctx), other)
			assert.False(t, client.OTP.Query().Where(otp.Email(other)).ExistX(ctx), other)
		}
		typed := schematype.NormalizeEmail(" JOSE@X.com")
		assert.True(t, client.User.Query().Where(user.Email(typed)).ExistX(ctx))
		assert.NoError(t, newUser(client, "JOSÉ@x.com").Exec(ctx), "an accent makes another person")
	})
}

func TestHashesThatDifferOnlyInCaseAreDifferent(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		ada := newUser(client, "ada@example.com").SaveX(ctx)
		for _, hash := range []string{"aB", "Ab", "ab", "AB"} {
			require.NoError(t, newSession(client, ada, hash).Exec(ctx))
			require.NoError(t, newRefreshToken(client, ada, hash).Exec(ctx))
		}
		assert.Equal(t, 1, client.Session.Query().Where(session.TokenHash("aB")).CountX(ctx))
		assert.Equal(t, 1, client.RefreshToken.Query().Where(refreshtoken.TokenHash("aB")).CountX(ctx))
	})
}

// utf8mb4_bin and ascii_bin pad with spaces when they compare: trailing spaces do not count there. It cannot matter:
// the client stores no address or hash that has any, and a lookup with them finds what it would without.
func TestTrailingSpacesDoNotCountOnAServer(t *testing.T) {
	mysqltest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		client := open(t, url)
		ada := newUser(client, "ada@example.com").SaveX(ctx)
		newSession(client, ada, "hash").SaveX(ctx)

		padded := !mysqltest.IsSQLite(url)
		assert.Equal(t, padded, client.User.Query().Where(user.Email("ada@example.com ")).ExistX(ctx))
		assert.Equal(t, padded, client.Session.Query().Where(session.TokenHash("hash ")).ExistX(ctx))
		assert.True(t, ent.IsValidationError(newSession(client, ada, "hash ").Exec(ctx)))
	})
}
