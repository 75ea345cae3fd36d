// Copyright: TableFerry contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.dynamodb.DynamoDBItemWritable;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.mapred.JobConf;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import scala.Tuple2;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;

/** Writes the items of an export with emr-dynamodb-hadoop: Connector URL TABLE PATHS. */
public class Connector {
  private static final ObjectMapper JSON = new ObjectMapper();

  public static void main(String[] arguments) {
    JavaSparkContext context = new JavaSparkContext(new SparkConf().setAppName("connector"));
    context.setLogLevel("ERROR");
    JobConf conf = new JobConf(context.hadoopConfiguration());
    conf.set("dynamodb.endpoint", arguments[0]);
    conf.set("dynamodb.output.tableName", arguments[1]);
    conf.set("dynamodb.regionid", "eu-west-1");
    conf.set("dynamodb.region", "eu-west-1");
    conf.set("dynamodb.servicename", "dynamodb");
    conf.set("dynamodb.throughput.write", "10000000"); // nothing is to hold it back
    conf.set("dynamodb.throughput.write.percent", "1");
    conf.set("dynamodb.throughput.write.autoscaling", "false");
    conf.set("dynamodb.yarn.enabled", "false");
    conf.set("dynamodb.awsAccessKeyId", System.getenv("AWS_ACCESS_KEY_ID"));
    conf.set("dynamodb.awsSecretAccessKey", System.getenv("AWS_SECRET_ACCESS_KEY"));
    conf.set("mapred.output.format.class", "org.apache.hadoop.dynamodb.write.DynamoDBOutputFormat");
    conf.set("mapred.task.partition", "0");
    context
        .textFile(arguments[2])
        .mapToPair(line -> new Tuple2<>(new Text(""), new DynamoDBItemWritable(attributes(JSON.readTree(line).get("Item")))))
        .saveAsHadoopDataset(conf);
    context.stop();
  }

  private static Map<String, AttributeValue> attributes(JsonNode node) {
    Map<String, AttributeValue> found = new LinkedHashMap<>();
    node.fields().forEachRemaining(each -> found.put(each.getKey(), value(each.getValue())));
    return found;
  }

  private static AttributeValue value(JsonNode node) {
    String type = node.fieldNames().next();
    JsonNode content = node.get(type);
    AttributeValue.Builder value = AttributeValue.builder();
    switch (type) {
      case "S":
        return value.s(content.textValue()).build();
      case "N":
        return value.n(content.textValue()).build();
      case "B":
        return value.b(SdkBytes.fromByteArray(Base64.getDecoder().decode(content.textValue()))).build();
      case "BOOL":
        return value.bool(content.booleanValue()).build();
      case "NULL":
        return value.nul(true).build();
      case "SS":
        return value.ss(texts(content)).build();
      case "NS":
        return value.ns(texts(content)).build();
      case "L":
        List<AttributeValue> members = new ArrayList<>();
        content.forEach(each -> members.add(value(each)));
        return value.l(members).build();
      case "M":
        return value.m(attributes(content)).build();
      default:
        throw new IllegalArgumentException(type);
    }
  }

  private static List<String> texts(JsonNode node) {
    List<String> found = new ArrayList<>();
    node.forEach(each -> found.add(each.textValue()));
    return found;
  }
}
