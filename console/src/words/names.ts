/** Words for types, attributes and units of the common data models; what is not here is shown as it is called. */
import type { Language } from "./words";

type Names = Record<string, Record<Language, string>>;

const TYPES: Names = {
  AdministrativeArea: { en: "Area", ja: "区域" },
  Building: { en: "Building", ja: "建物" },
  EvacuationShelter: { en: "Evacuation shelter", ja: "避難所" },
  EmergencyEvacuationSite: { en: "Emergency evacuation site", ja: "指定緊急避難場所" },
  OffStreetParking: { en: "Car park", ja: "駐車場" },
  PublicTransportRoute: { en: "Bus line", ja: "バス路線" },
  PublicTransportStop: { en: "Bus stop", ja: "バス停" },
  River: { en: "River", ja: "川" },
  RoadAccident: { en: "Road accident", ja: "交通事故" },
  RoadSegment: { en: "Road", ja: "道路" },
  Sea: { en: "Sea", ja: "海" },
  SmartMeteringObservation: { en: "Meter", ja: "メーター" },
  TrafficAccident: { en: "Road accident", ja: "交通事故" },
  Vehicle: { en: "Bus", ja: "バス" },
  WaterObserved: { en: "River gauge", ja: "水位計" },
  WeatherObserved: { en: "Weather station", ja: "気象観測" },
  WeatherStation: { en: "Weather station", ja: "気象観測所" },
  FloodBarrier: { en: "Flood barrier", ja: "通行止めゲート" },
  FloodGate: { en: "Flood gate", ja: "水門" },
  Suggestion: { en: "Suggestion", ja: "提案" },
  Decision: { en: "Decision", ja: "判断" },
  Command: { en: "Command", ja: "指令" },
  Acknowledgement: { en: "Acknowledgement", ja: "応答" },
  Effect: { en: "Effect", ja: "効果" },
};

const ATTRIBUTES: Names = {
  address: { en: "Address", ja: "住所" },
  atmosphericPressure: { en: "Air pressure", ja: "気圧" },
  availableSpotNumber: { en: "Free spaces", ja: "空き台数" },
  building: { en: "Building", ja: "建物" },
  capacity: { en: "Capacity", ja: "定員" },
  category: { en: "Category", ja: "区分" },
  cautionLevel: { en: "Caution level", ja: "氾濫注意水位" },
  dangerLevel: { en: "Danger level", ja: "氾濫危険水位" },
  dataProvider: { en: "Data from", ja: "データ提供" },
  disasterType: { en: "Safe in", ja: "対応災害" },
  elevation: { en: "Elevation", ja: "標高" },
  evacuationLevel: { en: "Evacuation level", ja: "避難判断水位" },
  floorsAboveGround: { en: "Floors", ja: "地上階数" },
  heading: { en: "Heading", ja: "進行方向" },
  height: { en: "Height", ja: "高さ" },
  intervalConsumption: { en: "Used in the interval", ja: "区間使用量" },
  isBridge: { en: "Bridge", ja: "橋" },
  isPartOf: { en: "Part of", ja: "所属" },
  length: { en: "Length", ja: "長さ" },
  levelStatus: { en: "Level", ja: "水位の状態" },
  license: { en: "Licence", ja: "ライセンス" },
  line: { en: "Line", ja: "路線" },
  location: { en: "Place", ja: "位置" },
  maximumAllowedSpeed: { en: "Speed limit", ja: "制限速度" },
  meterType: { en: "Kind of meter", ja: "メーター種別" },
  name: { en: "Name", ja: "名称" },
  occupiedSpotNumber: { en: "Taken spaces", ja: "使用台数" },
  passengerCount: { en: "Passengers", ja: "乗車人数" },
  precipitation: { en: "Rain", ja: "降水量" },
  relativeHumidity: { en: "Humidity", ja: "湿度" },
  river: { en: "River", ja: "川" },
  routeCode: { en: "Line code", ja: "路線番号" },
  serviceStatus: { en: "Service", ja: "運行状況" },
  setPosition: { en: "Position asked for", ja: "指示位置" },
  simulated: { en: "Simulated", ja: "模擬" },
  speed: { en: "Speed", ja: "速度" },
  standbyLevel: { en: "Standby level", ja: "水防団待機水位" },
  temperature: { en: "Temperature", ja: "気温" },
  totalConsumption: { en: "Register", ja: "積算値" },
  totalLaneNumber: { en: "Lanes", ja: "車線数" },
  totalSpotNumber: { en: "Spaces", ja: "収容台数" },
  vehicleType: { en: "Kind of vehicle", ja: "車種" },
  ward: { en: "Ward", ja: "区" },
  waterDischarge: { en: "Flow", ja: "流量" },
  waterLevel: { en: "Water level", ja: "水位" },
  width: { en: "Width", ja: "幅" },
  windDirection: { en: "Wind from", ja: "風向" },
  windSpeed: { en: "Wind", ja: "風速" },
};

/** Values of lists that the common models share. */
const VALUES: Names = {
  normal: { en: "normal", ja: "平常" },
  standbyLevel: { en: "standby", ja: "水防団待機" },
  cautionLevel: { en: "caution", ja: "氾濫注意" },
  evacuationLevel: { en: "evacuation", ja: "避難判断" },
  dangerLevel: { en: "danger", ja: "氾濫危険" },
  onRoute: { en: "in service", ja: "運行中" },
  parked: { en: "parked", ja: "車庫" },
  bus: { en: "bus", ja: "バス" },
  house: { en: "house", ja: "戸建住宅" },
  apartments: { en: "apartments", ja: "集合住宅" },
  retail: { en: "retail", ja: "店舗" },
  office: { en: "office", ja: "事務所" },
  industrial: { en: "industrial", ja: "工場" },
  school: { en: "school", ja: "学校" },
  hospital: { en: "hospital", ja: "病院" },
  town: { en: "town", ja: "町" },
  Electricity: { en: "electricity", ja: "電気" },
  Water: { en: "water", ja: "水道" },
  flood: { en: "flood", ja: "洪水" },
  tsunami: { en: "tsunami", ja: "津波" },
  earthquake: { en: "earthquake", ja: "地震" },
  landslide: { en: "landslide", ja: "土砂災害" },
  open: { en: "open", ja: "開" },
  closed: { en: "closed", ja: "閉" },
  true: { en: "yes", ja: "はい" },
  false: { en: "no", ja: "いいえ" },
};

/** UN/CEFACT Recommendation 20. C62 is "one": no unit. */
const UNITS: Record<string, string> = {
  A97: "hPa", C62: "", CEL: "°C", CMT: "cm", DD: "°", H67: "mm/h", KMH: "km/h", KMT: "km", KWH: "kWh",
  KWT: "kW", MMT: "mm", MQS: "m³/s", MTQ: "m³", MTR: "m", MTS: "m/s", P1: "%", SEC: "s", WTT: "W",
};

export const typeName = (type: string, language: Language): string => TYPES[shortName(type)]?.[language] ?? shortName(type);
export const attributeName = (name: string, language: Language): string =>
  ATTRIBUTES[name]?.[language] ?? shortName(name);
export const valueName = (value: string, language: Language): string => VALUES[value]?.[language] ?? value;
export const unitName = (code: string): string => UNITS[code] ?? code;

/** Of a full name only what stands behind the last `/` or `#`, of our own what stands behind their beginning. */
const shortName = (name: string): string => name.split(/[/#]|^urn:renkei:v\d+:/).at(-1) ?? name;
