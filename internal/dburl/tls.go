package dburl

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/go-sql-driver/mysql"
)

// tlsFiles are the PEM files that an address names.
type tlsFiles struct {
	// ca is tls-ca: the authorities one of which signed the server's certificate. Without it they are the system's.
	ca string
	// cert and key are tls-cert and tls-key: the client's own certificate.
	cert, key string
}

// named is the file of a parameter; nil if the parameter names none.
func (f *tlsFiles) named(parameter string) *string {
	switch parameter {
	case "tls-ca":
		return &f.ca
	case "tls-cert":
		return &f.cert
	case "tls-key":
		return &f.key
	}
	return nil
}

// checkTLS refuses settings of which one would silently undo another.
func (u *URL) checkTLS() error {
	if u.files == (tlsFiles{}) {
		return nil
	}
	const files = "tls-ca, tls-cert and tls-key"
	switch setting := u.server.TLSConfig; {
	case u.server.Net == "unix":
		return wrong(PartParameter, files+" are for a host, whose name is verified", "take them out for a socket")
	case setting != "" && setting != "true":
		return wrong(PartParameter, files+" verify the server", "take out tls, or set it to true")
	case u.server.AllowFallbackToPlaintext:
		return wrong(PartParameter, "allowFallbackToPlaintext would undo "+files, "take it out")
	case (u.files.cert == "") != (u.files.key == ""):
		return wrong(PartParameter, "tls-cert and tls-key belong together", "name both files")
	}
	return nil
}

// config is the TLS configuration that the files make: the server's certificate is verified, its
// name too. It is nil where there are none, and the driver's own settings hold.
func (f tlsFiles) config() (*tls.Config, error) {
	if f == (tlsFiles{}) {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12} // its ServerName is the host, which the driver fills in
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, fmt.Errorf("tls-ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls-ca: %s holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)", f.ca)
		}
	}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, fmt.Errorf("tls-cert %s and tls-key %s: %w", f.cert, f.key, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// Transport is what protects a connection to a server on its way.
type Transport string

// The kinds of transport, weakest first.
const (
	// TransportPlain is not encrypted, by the driver's default.
	TransportPlain Transport = "plain"
	// TransportOptional is encrypted if whoever answers offers it.
	TransportOptional Transport = "optional"
	// TransportUnverified is encrypted, to whoever answers.
	TransportUnverified Transport = "unverified"
	// TransportNamed is encrypted as a configuration says that the program registered with the driver.
	TransportNamed Transport = "named"
	// TransportVerified is encrypted, to a server whose certificate and name are verified.
	TransportVerified Transport = "verified"
)

// Transport says what the address asks for; nothing is connected.
func (u *URL) Transport() Transport {
	switch {
	case u.server == nil:
		return TransportPlain
	case u.files != (tlsFiles{}):
		return TransportVerified
	case u.server.TLSConfig == "" || u.server.TLSConfig == "false":
		return TransportPlain
	case u.server.TLSConfig == "preferred" || u.server.AllowFallbackToPlaintext:
		return TransportOptional
	case u.server.TLSConfig == "skip-verify":
		return TransportUnverified
	case u.server.TLSConfig == "true":
		return TransportVerified
	default:
		return TransportNamed
	}
}

// SendsPassword reports whether the address lets a server ask for the password in the
// clear, or under a hash that gives it away.
func (u *URL) SendsPassword() bool {
	return u.server != nil && (u.server.AllowCleartextPasswords || u.server.AllowOldPasswords)
}

// explainTLS is the error of a connection that failed for its encryption; nil for any other.
func (u *URL) explainTLS(err error) *Error {
	host, _, splitErr := net.SplitHostPort(u.server.Addr)
	if splitErr != nil {
		host = u.server.Addr
	}
	because := func(part, found, fix string) *Error {
		return &Error{URL: u.String(), Part: part, Err: fmt.Errorf("%s: %w", found, err), Fix: fix}
	}
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	switch {
	case errors.Is(err, mysql.ErrNoTLS):
		return because(PartParameter, "the server offers no encryption, which tls asks for", "give it a certificate")
	case errors.As(err, &authority) && u.files.ca != "":
		return because(PartParameter, "tls-ca: no authority of "+u.files.ca+" signed the server's certificate",
			"name the file of the one that did")
	case errors.As(err, &authority):
		return because(PartParameter, "tls: this machine does not know the authority of the server's certificate",
			"name the authority's PEM file with tls-ca=FILE")
	case errors.As(err, &name):
		return because(PartHost, "the server's certificate is not for "+host,
			"connect by a name that it is for, or have one made for this name")
	case errors.As(err, &invalid):
		return because(PartHost, "the server's certificate is not valid", "renew it")
	}
	return nil
}
