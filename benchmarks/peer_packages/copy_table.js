// copy-dynamodb-table as its README says to use it: node copy_table.js SOURCE_URL SOURCE_TABLE DESTINATION_URL DESTINATION_TABLE
const { createRequire } = require('module')
const { copy } = createRequire(process.cwd() + '/')('copy-dynamodb-table')

const [sourceUrl, sourceTable, destinationUrl, destinationTable] = process.argv.slice(2)
const config = (endpoint) => ({
  endpoint,
  region: process.env.AWS_REGION,
  accessKeyId: process.env.AWS_ACCESS_KEY_ID,
  secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY
})

copy({
  source: { tableName: sourceTable, config: config(sourceUrl) },
  destination: { tableName: destinationTable, config: config(destinationUrl) }
}, (error, result) => {
  if (error) throw error
  console.log(result.count)
})
