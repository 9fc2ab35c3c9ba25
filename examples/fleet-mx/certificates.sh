#!/bin/sh
# Makes the certificates of an engine in this directory, which only root should read:
#
#	sh certificates.sh NAME              NAME.pem and NAME.key, by which etcd knows a node, or root
#	sh certificates.sh NAME ADDRESS...   the same for a member of etcd, at these addresses
#
# The first call makes the CA as well, ca.pem and ca.key: keep ca.key off the nodes.
# Certificates last for 825 days; keypaird check -live warns 30 days before the end. The
# same call makes a new one then.
set -eu
umask 077
name=$1
shift
if [ ! -e ca.key ]; then
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 7300 \
		-subj "/CN=CA of the engine" -keyout ca.key -out ca.pem 2>/dev/null
fi
names=DNS:$name
for address; do
	case $address in
	*[!0-9.:]*) names=$names,DNS:$address ;;
	*) names=$names,IP:$address ;;
	esac
done
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" \
	-keyout "$name.key" -out "$name.csr" 2>/dev/null
printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$names" >"$name.ext"
openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 825 \
	-extfile "$name.ext" -out "$name.pem" 2>/dev/null
rm "$name.csr" "$name.ext"
