import java.util.List;
import java.util.Map;
import org.opensearch.common.logging.LogConfigurator;
import org.opensearch.common.settings.Settings;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

/** A cluster of one: {@code java OneNode DIRECTORY HTTP_PORT TRANSPORT_PORT}. SIGTERM closes it in good order. */
final class OneNode extends Node {
    OneNode(Settings settings) {
        super(InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "one"),
            List.of(Netty4Plugin.class), false);
    }

    public static void main(String[] arguments) throws Exception {
        var settings = Settings.builder().loadFromMap(Map.of(
            "path.home", arguments[0],
            "cluster.name", "logchute",
            "discovery.type", "single-node",
            "network.host", "127.0.0.1",
            "http.port", arguments[1],
            "transport.port", arguments[2],
            "http.type", "netty4",
            "transport.type", "netty4",
            // A machine whose disk is nearly full would have its indices made read-only.
            "cluster.routing.allocation.disk.threshold_enabled", false)).build();
        LogConfigurator.configureWithoutConfig(settings);
        var node = new OneNode(settings);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try (node) {
                System.out.println("closing");
            } catch (Exception fault) {
                fault.printStackTrace();
            }
        }));
        node.start();
        System.out.println("the node has started");
        Thread.currentThread().join();
    }
}
