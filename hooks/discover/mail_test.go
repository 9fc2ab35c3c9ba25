package discover

import (
	"strings"
	"testing"
)

const policyEnforce = "version: STSv1\r\nmode: enforce\r\nmx: mx1.@\r\nmx: *.pool.@\r\nmax_age: 604800\r\n"

// sts is a policy host at {1}.
func sts(policy, conf string) []site9 {
	return []site9{{addr: "{1}", host: "mta-sts.@", conf: conf, files: map[string]string{"/.well-known/mta-sts.txt": policy}}}
}

const (
	stsZone = "@ IN MX 10 mx1\nmx1 IN A {2}\nmta-sts IN A {1}\n_mta-sts IN TXT \"v=STSv1; id=20260101;\"\n"
	// Senders that know the policy from before go by it until it expires (RFC
	// 8461, section 5.1).
	stsFail = `mta-sts-policy https:mta-sts.@:443 sni=mta-sts.@ accept=mta-sts.@ host=mta-sts.@ info absent
		mx smtp:mx1.@:25 sni=mx1.@ accept=mx1.@ should found when`
)

var smtpStories = []story{
	{
		name: "mx plain", spec: "RFC 5321, 5.1: all MX hosts; nobody checks a name",
		zone: "@ IN MX 20 mx2\n@ IN MX 10 mx1\nmx1 IN A {1}\nmx2 IN A {2}\n",
		want: `mta-sts-policy absent
			mx smtp:mx1.@:25 sni=mx1.@ accept=mx1.@ info found
			mx smtp:mx2.@:25 sni=mx2.@ accept=mx2.@ info found`,
	}, {
		name: "mx implicit", spec: "RFC 5321, 5.1: no MX: the domain itself",
		zone: "@ IN A {1}\n",
		want: `mta-sts-policy absent
			mx smtp:@:25 sni=@ accept=@ info found default`,
	}, {
		name: "mx none", spec: "RFC 5321, 5.1: no MX and no address: no mail",
		zone: "",
		want: `mta-sts-policy absent
			mx absent`,
	}, {
		name: "mx address", spec: "RFC 5321, 5.1: a host, not an address",
		zone: "@ IN MX 10 mx1\n@ IN MX 20 10.0.0.1.\nmx1 IN A {1}\n",
		want: `mta-sts-policy absent
			mx smtp:mx1.@:25 sni=mx1.@ accept=mx1.@ info found`,
		says: "!MX @ has a target that is not a host name: 10.0.0.1 is an address",
	}, {
		name: "sts tab", spec: "RFC 8461, 3.1: *WSP \";\" *WSP",
		zone: strings.Replace(stsZone, "v=STSv1; ", "v=STSv1;\t", 1), web: sts(policyEnforce, ""),
		want: `mta-sts-policy https:mta-sts.@:443 sni=mta-sts.@ accept=mta-sts.@ host=mta-sts.@ must found
			mx smtp:mx1.@:25 sni=mx1.@ accept=mx1.@ must found`,
	}, {
		name: "mx null", spec: "RFC 7505: takes no mail",
		zone: "@ IN A {1}\n@ IN MX 0 .\n",
		want: `mta-sts-policy absent
			mx disabled`,
	}, {
		name: "mx alias", spec: "RFC 5321, 5.1: an MX host is not an alias",
		zone: "@ IN MX 10 mx1\nmx1 IN CNAME box\nbox IN A {1}\n",
		want: `mta-sts-policy absent
			mx smtp:mx1.@:25 sni=mx1.@ accept=mx1.@ info found`,
		says: "MX @ names mx1.@, which is an alias of box.@",
	}, {
		name: "mx gone", spec: "RFC 5321, 5.1",
		zone: "@ IN MX 10 mx1\n",
		want: `mta-sts-policy absent
			mx smtp:mx1.@:25 sni=mx1.@ accept=mx1.@ info absent`,
		says: "!MX @ names mx1.@: mx1.@ does not exist (NXDOMAIN)",
	}, {
		name: "sts enforce", spec: "RFC 8461, 4.2: DNS-ID is the MX host; 7.1: SNI too; 3.3: the policy host shows its own name",
		zone: stsZone + "@ IN MX 20 a.pool\na.pool IN A {3}\n", web: sts(policyEnforce, ""),
		want: `mta-sts-policy https:mta-sts.@:443 sni=mta-sts.@ accept=mta-sts.@ host=mta-sts.@ must found
			mx smtp:mx1.@:25 sni=mx1.@ accept=mx1.@ must found
			mx smtp:a.pool.@:25 sni=a.pool.@ accept=a.pool.@ must found`,
	}, {
		name: "sts testing", spec: "RFC 8461, 5: testing: delivered, and reported",
		zone: stsZone + "@ IN MX 20 other\nother IN A {3}\n", web: sts("version: STSv1\nmode: testing\nmx: mx1.@\nmax_age: 86400\n", ""),
		want: `mta-sts-policy https:mta-sts.@:443 sni=mta-sts.@ accept=mta-sts.@ host=mta-sts.@ must found
			mx smtp:mx1.@:25 sni=mx1.@ accept=mx1.@ should found
			mx smtp:other.@:25 sni=other.@ accept=other.@ should found`,
		says: "no mx of the policy matches other.@: senders report it",
	}, {
		name: "sts none", spec: "RFC 8461, 5: none: as if there were no policy; mx may be left out",
		zone: stsZone, web: sts("version: STSv1\nmode: none\nmax_age: 86400\n", ""),
		want: `mta-sts-policy https:mta-sts.@:443 sni=mta-sts.@ accept=mta-sts.@ host=mta-sts.@ must found
			mx smtp:mx1.@:25 sni=mx1.@ accept=mx1.@ info found`,
	}, {
		name: "sts not named", spec: "RFC 8461, 4.1: a host that no mx matches is not delivered to; * is one label",
		zone: stsZone + "@ IN MX 20 a.b.pool\na.b.pool IN A {3}\n", web: sts(policyEnforce, ""),
		want: `mta-sts-policy https:mta-sts.@:443 sni=mta-sts.@ accept=mta-sts.@ host=mta-sts.@ must found
			mx smtp:mx1.@:25 sni=mx1.@ accept=mx1.@ must found
			mx smtp:a.b.pool.@:25 sni=a.b.pool.@ accept=a.b.pool.@ must found`,
		says: "!no mx of the policy matches a.b.pool.@: senders do not deliver to it",
	}, {
		name: "sts redirect", spec: "RFC 8461, 3.3: 3xx MUST NOT be followed",
		zone: stsZone, web: sts("x", "location = /.well-known/mta-sts.txt { return 301 https://mta-sts.@/p; }"),
		want: stsFail, says: "!the policy of @ cannot be fetched: senders that have not cached it apply none: answers 301",
	}, {
		name: "sts 404", spec: "RFC 8461, 3.3: only 200",
		zone: stsZone, web: []site9{{addr: "{1}", host: "mta-sts.@"}},
		want: stsFail, says: "!senders that have not cached it apply none: answers 404",
	}, {
		name: "sts bad policy", spec: "RFC 8461, 3.2: max_age is required",
		zone: stsZone, web: sts("version: STSv1\nmode: enforce\nmx: mx1.@\n", ""),
		want: stsFail, says: "!senders that have not cached it apply none: max_age",
	}, {
		name: "sts untrusted", spec: "RFC 8461, 3.3: the certificate is valid for the policy host",
		zone: stsZone, web: []site9{{addr: "{1}", host: "mta-sts.@", names: []string{"@"}, files: map[string]string{"/.well-known/mta-sts.txt": policyEnforce}}},
		want: `mta-sts-policy https:mta-sts.@:443 sni=mta-sts.@ accept=mta-sts.@ host=mta-sts.@ must absent
			mx smtp:mx1.@:25 sni=mx1.@ accept=mx1.@ should found when`,
		says: `!peers reject the document from {1}
			!senders that have not cached it apply none: its certificate is not trusted`,
	}, {
		name: "sts type", spec: "RFC 8461, 3.2: the media type is text/plain",
		zone: stsZone, web: sts(policyEnforce, "location = /.well-known/mta-sts.txt { default_type text/html; types { } }"),
		want: `mta-sts-policy https:mta-sts.@:443 sni=mta-sts.@ accept=mta-sts.@ host=mta-sts.@ must found
			mx smtp:mx1.@:25 sni=mx1.@ accept=mx1.@ must found`,
		says: `has Content-Type "text/html"`,
	}, {
		name: "sts two records", spec: "RFC 8461, 3.1: more than one: as if there were none; others do not count",
		zone: stsZone + "_mta-sts IN TXT \"v=STSv1; id=2;\"\n_mta-sts IN TXT \"something else\"\n", web: sts(policyEnforce, ""),
		want: `mta-sts-policy absent
			mx smtp:mx1.@:25 sni=mx1.@ accept=mx1.@ info found`,
		says: "!2 MTA-STS records",
	}, {
		name: "sts no id", spec: "RFC 8461, 3.1: id is required",
		zone: "@ IN MX 10 mx1\nmx1 IN A {2}\n_mta-sts IN TXT \"v=STSv1;\" \" x=y;\"\n",
		want: `mta-sts-policy absent
			mx smtp:mx1.@:25 sni=mx1.@ accept=mx1.@ info found`,
		says: "!no id",
	}, {
		name: "sts fails", spec: "a failing look-up is no answer",
		zone: "@ IN MX 10 mx1\nmx1 IN A {2}\n", broken: "_mta-sts",
		want: `mta-sts-policy undetermined
			mx smtp:mx1.@:25 sni=mx1.@ accept=mx1.@ should found when`,
		says: "TXT _mta-sts.@: resolver 127.0.0.1:53: answered SERVFAIL",
	}, {
		name: "sts elsewhere", spec: "a policy that cannot be had from here may be had by others",
		zone: "@ IN MX 10 mx1\nmx1 IN A {2}\nmta-sts IN A 192.0.2.1\n_mta-sts IN TXT \"v=STSv1; id=1\"\n",
		want: `mta-sts-policy https:mta-sts.@:443 sni=mta-sts.@ accept=mta-sts.@ host=mta-sts.@ info undetermined
			mx smtp:mx1.@:25 sni=mx1.@ accept=mx1.@ should found when`,
		says: "could not be checked from here: 192.0.2.1",
	},
}

func TestSMTP(t *testing.T) {
	w := newWorld(t, smtpStories)
	tell(t, w, smtpStories, "smtp", findSMTP)
}

var accessStories = []story{
	{
		name: "access all", spec: "RFC 6186, 3 and 6, RFC 8314, 5.1, RFC 5804: most check the host, strict ones the domain (RFC 7817, 3)",
		zone: "mail IN A {1}\n_submissions._tcp IN SRV 0 1 465 mail\n_submission._tcp IN SRV 0 1 587 mail\n_imaps._tcp IN SRV 0 1 993 mail\n_imap._tcp IN SRV 0 1 143 mail\n" +
			"_pop3s._tcp IN SRV 0 1 995 mail\n_pop3._tcp IN SRV 0 0 0 .\n_sieve._tcp IN SRV 0 1 4190 mail\n",
		want: `submission tls:mail.@:465 sni=mail.@ accept=mail.@ must found
			submission tls:mail.@:465 sni=@ accept=@ should found when
			submission-STARTTLS smtp:mail.@:587 sni=mail.@ accept=mail.@ must found
			submission-STARTTLS smtp:mail.@:587 sni=@ accept=@ should found when
			imap tls:mail.@:993 sni=mail.@ accept=mail.@ must found
			imap tls:mail.@:993 sni=@ accept=@ should found when
			imap-STARTTLS imap:mail.@:143 sni=mail.@ accept=mail.@ must found
			imap-STARTTLS imap:mail.@:143 sni=@ accept=@ should found when
			pop3 tls:mail.@:995 sni=mail.@ accept=mail.@ must found
			pop3 tls:mail.@:995 sni=@ accept=@ should found when
			pop3-STARTTLS disabled
			sieve sieve:mail.@:4190 sni=mail.@ accept=mail.@ must found
			sieve sieve:mail.@:4190 sni=@ accept=@ should found when`,
	}, {
		name: "access none", spec: "RFC 6186, 4: without records programs ask their user; a failing look-up is no answer",
		zone: "@ IN A {1}\n_imaps._tcp IN SRV 0 1 993 @\n", broken: "_sieve._tcp",
		want: `submission absent
			submission-STARTTLS absent
			imap tls:@:993 sni=@ accept=@ must found
			imap-STARTTLS absent
			pop3 absent
			pop3-STARTTLS absent
			sieve undetermined`,
		says: "SRV _sieve._tcp.@: resolver 127.0.0.1:53: answered SERVFAIL",
	},
}

func TestMailAccess(t *testing.T) {
	w := newWorld(t, accessStories)
	tell(t, w, accessStories, "imap", findMailAccess)
}

var autoconfigStories = []story{
	{
		name: "autoconfig", spec: "draft-ietf-mailmaint-autoconfig and MS-OXDISCO: each host by its own name",
		zone: "autoconfig IN A {1}\nbox IN A {2}\n_autodiscover._tcp IN SRV 0 0 443 box\n",
		want: `autoconfig https:autoconfig.@:443 sni=autoconfig.@ accept=autoconfig.@ host=autoconfig.@ should found
			autodiscover absent
			autodiscover-by-SRV https:box.@:443 sni=box.@ accept=box.@ host=box.@ should found`,
	},
}

func TestAutoconfig(t *testing.T) {
	w := newWorld(t, autoconfigStories)
	tell(t, w, autoconfigStories, "imap", findAutoconfig)
}
