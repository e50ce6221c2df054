package authgraph_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"math/big"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/internal/cli"
)

// authority signs certificates, for one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its own certificate, as PEM
}

func newAuthority(t *testing.T, folder, name string) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(folder, name+".pem")}
	der, key := sign(t, nil, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	a.key = key
	var err error
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

// issue writes a certificate and its key.
func (a *authority) issue(t *testing.T, folder, name string, hosts ...string) (cert, key string) {
	t.Helper()
	der, private := sign(t, a, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: hosts,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	cert, key = filepath.Join(folder, name+"-cert.pem"), filepath.Join(folder, name+"-key.pem")
	writePEM(t, cert, "CERTIFICATE", der)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	writePEM(t, key, "PRIVATE KEY", der)
	return cert, key
}

// sign makes a certificate, by its own key where there is no authority.
func sign(t *testing.T, by *authority, c *x509.Certificate) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	require.NoError(t, err)
	return der, key
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func TestTheServerIsVerifiedByTheAuthorityOfTheAddress(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	ours, theirs := newAuthority(t, folder, "ours"), newAuthority(t, folder, "theirs")
	cert, key := ours.issue(t, folder, "server", "localhost")
	clientCert, clientKey := ours.issue(t, folder, "client")
	garbage := filepath.Join(folder, "garbage.pem")
	require.NoError(t, os.WriteFile(garbage, []byte("no certificate"), 0o600))

	flags := []string{"--ssl-ca=" + ours.file, "--ssl-cert=" + cert, "--ssl-key=" + key}
	onOwnServers(t, flags, func(t *testing.T, url string, admin *sql.DB) {
		exec(t, admin, "CREATE USER eve@'%' IDENTIFIED BY 'pw' REQUIRE X509")
		exec(t, admin, "GRANT ALL ON app.* TO eve@'%'")
		exec(t, admin, "SET GLOBAL require_secure_transport = ON")
		at := func(user, host string, params neturl.Values) string {
			u, err := neturl.Parse(url)
			require.NoError(t, err)
			u.User, u.Host, u.RawQuery = neturl.UserPassword(user, "pw"), host+":"+u.Port(), params.Encode()
			return u.String()
		}
		ca := func(file string) neturl.Values { return neturl.Values{"tls-ca": {file}} }
		asClient := neturl.Values{"tls-ca": {ours.file}, "tls-cert": {clientCert}, "tls-key": {clientKey}}
		for name, address := range map[string]string{
			"the authority": at("ada", "localhost", ca(ours.file)),
			"with tls=true": at("ada", "localhost",
				neturl.Values{"TLS-CA": {ours.file}, "tls": {"true"}}),
			"a client with its certificate": at("eve", "localhost", asClient),
			"somebody who does not care":    at("ada", "127.0.0.1", neturl.Values{"tls": {"skip-verify"}}),
		} {
			var cipher string
			query(t, connect(t, address), "SHOW SESSION STATUS LIKE 'Ssl_cipher'", new(string), &cipher)
			assert.NotEmpty(t, cipher, name)
		}

		const user, host, parameter = "user", "host", "parameter"
		system, clumsy := neturl.Values{"tls": {"true"}},
			neturl.Values{"tls-cert": {clientCert}, "tls-key": {clientCert}}
		none := folder + "/none.pem"
		for name, c := range map[string]struct{ address, part, text string }{
			"another name": {at("ada", "127.0.0.1", ca(ours.file)), host,
				"certificate is not for 127.0.0.1: … connect by"},
			"another authority": {at("ada", "localhost", ca(theirs.file)), parameter,
				"no authority of " + theirs.file},
			"the system's authorities": {at("ada", "localhost", system), parameter,
				"name the authority's PEM file with tls-ca=FILE"},
			"no encryption": {at("ada", "localhost", nil), parameter, "add tls=true, and tls-ca=FILE where"},
			"no file": {at("ada", "localhost", ca(none)), parameter, "tls-ca: open " +
				none + ": no such file"},
			"a folder": {at("ada", "localhost", ca(folder)), parameter, "tls-ca: read " + folder},
			"no certificate": {at("ada", "localhost", ca(garbage)), parameter,
				garbage + " holds no certificate"},
			"a key": {at("ada", "localhost", ca(key)), parameter, "tls-ca: " + key +
				" holds no certificate"},
			"a client without":         {at("eve", "localhost", ca(ours.file)), user, ""},
			"a certificate as its key": {at("eve", "localhost", clumsy), parameter, "tls-key " + clientCert},
		} {
			_, err := authgraph.Open(t.Context(), c.address)
			if assert.Error(t, err, name) {
				assertURLError(t, err, c.part)
				for text := range strings.SplitSeq(c.text, "… ") {
					assert.ErrorContains(t, err, text, name)
				}
				assert.NotContains(t, err.Error(), "pw", name)
			}
		}

		var out, problems bytes.Buffer
		status := []string{"migrate", "status", "--url"}
		require.Zero(t, cli.Run(append(status, at("ada", "localhost", ca(ours.file))), &out,
			&problems), problems.String())
		require.Equal(t, 1, cli.Run(append(status, at("ada", "localhost", ca(theirs.file))), &out, &problems))
		assert.Contains(t, problems.String(), "tls-ca: no authority of ")

		byHand, err := openByHand(at("ada", "localhost", ca(ours.file)))
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, byHand.Close()) })
		assert.Equal(t, "1", setting(t, byHand, "autocommit"))
		unverified, err := openByHand(at("ada", "localhost", ca(theirs.file)))
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, unverified.Close()) })
		_, err = unverified.User.Query().Count(t.Context())
		var unknown x509.UnknownAuthorityError
		assert.ErrorAs(t, err, &unknown)
	})
}
