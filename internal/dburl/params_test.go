package dburl

import (
	"maps"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParametersThatWouldUndoAGuaranteeAreRefused(t *testing.T) {
	for _, c := range []struct{ name, value string }{
		{"sql_mode", "''"},
		{"SQL_MODE", "''"},
		{"Time_Zone", "'+05:30'"},
		{"AUTOCOMMIT", "0"},
		{"autocommit", "OFF"},
		{"completion_type", "CHAIN"},
		{"Completion_Type", "1"},
		{"foreign_key_checks", "0"},
		{"unique_checks", "'off'"},
		{"check_constraint_checks", "0"},
		{"sql_auto_is_null", "ON"},
		{"sql_select_limit", "10"},
		{"charset", "latin1"},
		{"Charset", "gbk"},
		{"character_set_client", "gbk"},
		{"character_set_results", "NULL"},
		{"collation", "gbk_chinese_ci"},
		{"collation", "utf8mb4_bin, sql_mode=''"},
		{"timestamp", "1"},
		{"Insert_ID", "7"},
		{"password", "'x'"},
		{"SQL_LOG_BIN", "0"},
		{"wsrep_on", "OFF"},
		{"skip_replication", "1"},
		{"@@autocommit", "0"},
		{"@@session.autocommit", "0"},
		{"session.sql_mode", "''"},
		{"local.sql_mode", "''"},
		{"global.max_connections", "1"},
		{"lock_wait_timeout", "1, autocommit=0"},
		{"lock_wait_timeout", "1 /* , */"},
		{"lock_wait_timeout", "(SELECT 1)"},
		{"lock_wait_timeout", "@@global.autocommit"},
		{"lock_wait_timeout", ""},
		{"transaction_isolation", "READ-COMMITTED"},
		{"transaction_isolation", "'a', autocommit='0'"},
		{"transaction_isolation", `'\'`},
		{"transaction_isolation", "'a''b'"},
		{"transaction_isolation", "'\u4e2d'"},
		{"transaction_isolation", `'a"`},
		{"tls_ca", "ca.pem"},
		{"sslmode", "verify-full"},
		{"ssl-ca", "ca.pem"},
		{"useSSL", "true"},
	} {
		for _, raw := range []string{
			"mysql://ada:pw@localhost/app?", "ada:pw@tcp(localhost:3306)/app?", "mysql+unix:///run/sock?database=app&",
		} {
			_, err := Parse(raw + url.QueryEscape(c.name) + "=" + url.QueryEscape(c.value))
			var e *Error
			if assert.ErrorAs(t, err, &e, "%s=%s", c.name, c.value) {
				assert.Equal(t, PartParameter, e.Part)
			}
		}
	}
	_, err := Parse("mysql://ada:pw@localhost/app?lock_wait_timeout=1&Lock_Wait_Timeout=2")
	assert.ErrorContains(t, err, "parameter: lock_wait_timeout is there twice")
	_, err = Parse("mysql://ada:pw@localhost/app?readTimeout=5s&timeout=soon")
	assert.ErrorContains(t, err, "parameter: timeout has a value that it cannot have: give it a unit")
}

// A value may be a password that came there by mistake.
func TestNoErrorRepeatsTheValueOfAParameter(t *testing.T) {
	t.Parallel()
	for _, name := range driverParameters {
		_, err := Parse("mysql://ada@localhost/app?" + name + "=geheim")
		if err != nil {
			assert.NotContains(t, err.Error(), "geheim", name)
			assert.Contains(t, err.Error(), name)
		}
	}
}

func TestParametersThatSayWhatHoldsAnywayAreAccepted(t *testing.T) {
	for _, params := range []string{
		"autocommit=1", "AutoCommit=true", "autocommit='ON'", "time_zone='%2B00:00'", "TIME_ZONE=utc",
		"charset=utf8mb4", "charset=UTF8MB4,utf8", "character_set_client='utf8mb4'", "collation=utf8mb4_general_ci",
		"foreign_key_checks=on", "sql_mode=" + url.QueryEscape(sqlMode), "completion_type=0",
		"parseTime=True&loc=Local", "ClientFoundRows=false", "multistatements=true", "interpolateParams=0",
	} {
		u, err := Parse("mysql://ada:pw@localhost/app?" + params)
		require.NoError(t, err, params)
		assert.Equal(t, session, u.server.Params, params)
		assert.True(t, u.server.ClientFoundRows && u.server.InterpolateParams && u.server.ParseTime, params)
		assert.False(t, u.server.MultiStatements, params)
	}
}

func TestVariablesAndParametersOfTheDriverAreTakenInAnyCase(t *testing.T) {
	u, err := Parse("mysql://ada:pw@localhost/app" +
		"?Transaction_Isolation='READ-COMMITTED'&max_statement_time=1.5&tx_read_only=ON" +
		"&optimizer_switch=\"index_merge%3Doff,mrr%3Don\"&REJECTREADONLY=true&collation=utf8mb4_0900_ai_ci&strict=true")
	require.NoError(t, err)
	want := maps.Clone(session)
	want["transaction_isolation"] = "'READ-COMMITTED'"
	want["max_statement_time"] = "1.5"
	want["tx_read_only"] = "ON"
	want["optimizer_switch"] = `"index_merge=off,mrr=on"`
	want["collation_connection"] = "'utf8mb4_0900_ai_ci'"
	want["strict"] = "true" // the driver's parser panics for it
	assert.Equal(t, want, u.server.Params)
	assert.True(t, u.server.RejectReadOnly)
}

func TestSettingsThatWouldUndoTheVerificationAreRefused(t *testing.T) {
	for params, text := range map[string]string{
		"tls-ca=ca.pem&tls=skip-verify":               "take out tls, or set it to true",
		"tls-ca=ca.pem&tls=preferred":                 "take out tls, or set it to true",
		"tls-ca=ca.pem&TLS=false":                     "take out tls, or set it to true",
		"tls-ca=ca.pem&allowFallbackToPlaintext=true": "allowFallbackToPlaintext would undo",
		"tls-cert=cert.pem":                           "tls-cert and tls-key belong together",
		"tls-key=key.pem&tls=true":                    "tls-cert and tls-key belong together",
		"tls-ca=a.pem&TLS-CA=b.pem":                   "is there twice",
		"tls-ca=":                                     "names no file",
	} {
		_, err := Parse("mysql://ada:pw@localhost/app?" + params)
		assert.ErrorContains(t, err, text, params)
	}
	_, err := Parse("mysql+unix:///run/sock?database=app&tls-ca=ca.pem")
	assert.ErrorContains(t, err, "take them out for a socket")
}

func TestTransportOfAnAddress(t *testing.T) {
	for params, want := range map[string]Transport{
		"":                                     "plain",
		"?tls=false":                           "plain",
		"?tls=preferred":                       "optional",
		"?TLS=Preferred":                       "optional",
		"?tls=true&allowFallbackToPlaintext=1": "optional",
		"?tls=skip-verify":                     "unverified",
		"?tls=1":                               "verified",
		"?tls-ca=ca.pem":                       "verified",
		"?tls-cert=cert.pem&tls-key=key.pem":   "verified",
	} {
		u, err := Parse("mysql://ada:pw@db.example.com/app" + params)
		require.NoError(t, err, params)
		assert.Equal(t, want, u.Transport(), params)
	}
}
