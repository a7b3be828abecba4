/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "xsk/driver.h"

#define MOST_FEATURES 512   /* there are about 70 */
#define MOST_RSS      65536 /* entries; devices have up to some thousand */

struct asked {
	int fd;
	const char *ifname;
};

/* Every command of ethtool is a struct that begins with its number. */
static int ethtool(const struct asked *asked, void *command)
{
	struct ifreq request = { 0 };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", asked->ifname);
	request.ifr_data = command;
	return ioctl(asked->fd, SIOCETHTOOL, &request) < 0 ? -errno : 0;
}

static void read_names(const struct asked *asked, struct nmx__driver *out)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };

	if (ethtool(asked, &info) < 0)
		return;
	snprintf(out->name, sizeof(out->name), "%.*s", (int)sizeof(info.driver) - 1, info.driver);
	snprintf(out->bus, sizeof(out->bus), "%.*s", (int)sizeof(info.bus_info) - 1, info.bus_info);
}

static void read_queues(const struct asked *asked, struct nmx__driver *out)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };

	if (ethtool(asked, &channels) < 0)
		return;
	out->rx_queues = channels.rx_count + channels.combined_count;
	out->tx_queues = channels.tx_count + channels.combined_count;
}

static void read_rss(const struct asked *asked, struct nmx__driver *out)
{
	struct ethtool_rxfh_indir size = { .cmd = ETHTOOL_GRXFHINDIR };

	/* Asked with no room, it tells how much is needed. */
	if (ethtool(asked, &size) < 0 || size.size == 0 || size.size > MOST_RSS)
		return;
	struct ethtool_rxfh_indir *table = calloc(1, sizeof(*table) + size.size * sizeof(table->ring_index[0]));
	if (!table)
		return;
	table->cmd = ETHTOOL_GRXFHINDIR;
	table->size = size.size;
	if (ethtool(asked, table) == 0)
		for (uint32_t i = 0; i < size.size; i++)
			if (table->ring_index[i] >= out->rss_queues)
				out->rss_queues = table->ring_index[i] + 1;
	free(table);
}

/* ---- features */

struct features {
	uint32_t n;
	struct ethtool_gstrings *names;   /* n of ETH_GSTRING_LEN bytes */
	struct ethtool_gfeatures *values; /* one bit each, in words of 32 */
};

static uint32_t count_features(const struct asked *asked)
{
	union {
		struct ethtool_sset_info info;
		uint8_t room[sizeof(struct ethtool_sset_info) + sizeof(uint32_t)];
	} count = { .info = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = UINT64_C(1) << ETH_SS_FEATURES } };
	uint32_t n = 0;

	if (ethtool(asked, &count) < 0 || count.info.sset_mask == 0)
		return 0;
	memcpy(&n, count.room + sizeof(struct ethtool_sset_info), sizeof(n));
	return n <= MOST_FEATURES ? n : 0;
}

/* True: they are there.  To be freed in any case. */
static bool get_features(const struct asked *asked, struct features *features)
{
	const uint32_t n = count_features(asked), words = (n + 31) / 32;

	*features = (struct features){ .n = n };
	if (!n)
		return false;
	features->names = calloc(1, sizeof(*features->names) + (size_t)n * ETH_GSTRING_LEN);
	features->values = calloc(1, sizeof(*features->values) + words * sizeof(features->values->features[0]));
	if (!features->names || !features->values)
		return false;
	features->names->cmd = ETHTOOL_GSTRINGS;
	features->names->string_set = ETH_SS_FEATURES;
	features->names->len = n;
	features->values->cmd = ETHTOOL_GFEATURES;
	features->values->size = words;
	return ethtool(asked, features->names) == 0 && ethtool(asked, features->values) == 0;
}

static enum nmx__feature feature(const struct features *features, const char *name)
{
	const char *known = (const char *)features->names->data;
	uint32_t i = 0;

	while (i < features->n && strncmp(known + (size_t)i * ETH_GSTRING_LEN, name, ETH_GSTRING_LEN) != 0)
		i++;
	if (i == features->n)
		return NMX__FEATURE_UNKNOWN;
	return features->values->features[i / 32].active >> i % 32 & 1 ? NMX__FEATURE_ON : NMX__FEATURE_OFF;
}

static enum nmx__feature either_of(const struct features *features, const char *one, const char *other)
{
	const enum nmx__feature a = feature(features, one), b = feature(features, other);

	return a > b ? a : b;
}

static void read_features(const struct asked *asked, struct nmx__driver *out)
{
	struct features features;

	if (get_features(asked, &features)) {
		out->rx_vlan = either_of(&features, "rx-vlan-hw-parse", "rx-vlan-stag-hw-parse");
		out->gro_hw = feature(&features, "rx-gro-hw");
		out->lro = feature(&features, "rx-lro");
		out->rx_checksum = feature(&features, "rx-checksum");
		out->tx_checksum = either_of(&features, "tx-checksum-ipv4", "tx-checksum-ipv6");
		if (out->tx_checksum != NMX__FEATURE_ON)
			out->tx_checksum = feature(&features, "tx-checksum-ip-generic");
		out->tso = either_of(&features, "tx-tcp-segmentation", "tx-tcp6-segmentation");
	}
	free(features.names);
	free(features.values);
}

/* ---- the device in /sys */

static bool read_number(const char *path, int *number)
{
	char text[16];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	ssize_t len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return false;
	text[len] = '\0';
	*number = (int)strtol(text, NULL, 10);
	return true;
}

/* /sys/class/net shows the namespace of whoever mounted it, which may have another interface of this name: so by the
 * place on the bus, and by the name only if that has the same index there. */
static void read_numa_node(const struct asked *asked, struct nmx__driver *out)
{
	struct ifreq request = { 0 };
	char path[128];
	int index = 0;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/numa_node", out->bus);
	const bool is_pci = out->bus[0] && out->bus[strspn(out->bus, "0123456789abcdef:.")] == '\0';
	if (is_pci && read_number(path, &out->numa_node))
		return;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", asked->ifname);
	snprintf(path, sizeof(path), "/sys/class/net/%s/ifindex", asked->ifname);
	if (ioctl(asked->fd, SIOCGIFINDEX, &request) < 0 || !read_number(path, &index) ||
	    index != request.ifr_ifindex)
		return;
	snprintf(path, sizeof(path), "/sys/class/net/%s/device/numa_node", asked->ifname);
	read_number(path, &out->numa_node);
}

int nmx__driver_read(const char *ifname, struct nmx__driver *out)
{
	struct asked asked = { .ifname = ifname };
	struct ifreq request = { 0 };

	*out = (struct nmx__driver){ .numa_node = -1 };
	if (strlen(ifname) >= sizeof(request.ifr_name) || strchr(ifname, '/'))
		return -ENODEV;
	asked.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (asked.fd < 0)
		return -errno;
	memcpy(request.ifr_name, ifname, strlen(ifname));
	if (ioctl(asked.fd, SIOCGIFINDEX, &request) < 0) {
		const int err = -errno;
		close(asked.fd);
		return err;
	}
	read_names(&asked, out);
	read_queues(&asked, out);
	read_rss(&asked, out);
	read_features(&asked, out);
	read_numa_node(&asked, out);
	close(asked.fd);
	return 0;
}
